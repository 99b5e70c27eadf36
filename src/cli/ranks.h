/* The ranks that `mpirun -n N sonde …` started, as a team (sonde.h). Without mpirun, or built without MPI, the command
 * is alone and MPI is not begun. */
#ifndef SN_CLI_RANKS_H
#define SN_CLI_RANKS_H

#include "base/base.h"

/* Begins MPI where the environment says that it was started under it; *out stays zero otherwise. SN_EARG where the
 * command was started as several ranks, but is built without MPI. */
SN_CHECKED sn_status sn_ranks_open(sn_team *out, sn_ctx *ctx);
/* Returns the threads that a rank takes where none are asked for: its share of the machine's processors. 0: all. */
int sn_ranks_threads(const sn_team *team);
/* Ends MPI; all ranks come here. */
void sn_ranks_close(const sn_team *team);

#endif
