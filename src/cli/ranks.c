#define _GNU_SOURCE
#include "cli/ranks.h"

#include <stdlib.h>

#ifdef SN_HAVE_MPI
#include <mpi.h>
#include <omp.h>
#include <unistd.h>
#endif

/* Open MPI, and MPICH's and Slurm's process managers. */
static const char *const size_variable[] = { "OMPI_COMM_WORLD_SIZE", "PMI_SIZE" };

static int64_t started_ranks(void)
{
	for (int i = 0; i < SN_COUNT(size_variable); i++) {
		const char *text = getenv(size_variable[i]);
		int64_t n;
		if (text && sn_parse_i64(text, &n) && n > 1) return n;
	}
	return 1;
}

#ifdef SN_HAVE_MPI

/* MPI counts in int. */
static const size_t most_bytes = (size_t)1 << 30;

static bool exchange(void *payload, const void *own, size_t size, void *all)
{
	(void)payload;
	return MPI_Allgather(own, (int)size, MPI_BYTE, all, (int)size, MPI_BYTE, MPI_COMM_WORLD) == MPI_SUCCESS;
}

static bool broadcast(void *payload, int from, void *bytes, size_t size)
{
	(void)payload;
	for (size_t at = 0; at < size; at += most_bytes) {
		int n = (int)SN_MIN(most_bytes, size - at);
		if (MPI_Bcast((char *)bytes + at, n, MPI_BYTE, from, MPI_COMM_WORLD) != MPI_SUCCESS) return false;
	}
	return true;
}

static bool hand(void *payload, int from, void *bytes, size_t size)
{
	const sn_team *team = payload;
	for (size_t at = 0; at < size; at += most_bytes) {
		int n = (int)SN_MIN(most_bytes, size - at);
		void *piece = (char *)bytes + at;
		int failed = team->rank > 0 ? MPI_Send(piece, n, MPI_BYTE, 0, 0, MPI_COMM_WORLD)
									: MPI_Recv(piece, n, MPI_BYTE, from, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
		if (failed != MPI_SUCCESS) return false;
	}
	return true;
}

sn_status sn_ranks_open(sn_team *out, sn_ctx *ctx)
{
	*out = (sn_team){ 0 };
	if (started_ranks() == 1) return SN_OK;
	int level;
	if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level) != MPI_SUCCESS)
		return sn_fail(ctx, SN_EINTERNAL, "MPI does not begin; run without mpirun");
	MPI_Comm_size(MPI_COMM_WORLD, &out->n);
	MPI_Comm_rank(MPI_COMM_WORLD, &out->rank);
	out->payload = out;
	out->exchange = exchange;
	out->broadcast = broadcast;
	out->hand = hand;
	return SN_OK;
}

/* Where mpirun has bound the rank to some processors, those; at most the share of the ranks on this machine. */
int sn_ranks_threads(const sn_team *team)
{
	if (team->n <= 1) return 0;
	MPI_Comm machine;
	int here = team->n;
	if (MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, team->rank, MPI_INFO_NULL, &machine) == MPI_SUCCESS) {
		MPI_Comm_size(machine, &here);
		MPI_Comm_free(&machine);
	}
	int share = (int)sysconf(_SC_NPROCESSORS_ONLN) / SN_MAX(here, 1);
	return SN_MAX(SN_MIN(omp_get_num_procs(), share), 1);
}

void sn_ranks_close(const sn_team *team)
{
	if (team->n > 1) MPI_Finalize();
}

#else

sn_status sn_ranks_open(sn_team *out, sn_ctx *ctx)
{
	*out = (sn_team){ 0 };
	if (started_ranks() == 1) return SN_OK;
	return sn_fail(ctx, SN_EARG, "this sonde is built without MPI; run it without mpirun, or build it where "
	               "libopenmpi-dev is installed");
}

int sn_ranks_threads(const sn_team *team) { return (void)team, 0; }
void sn_ranks_close(const sn_team *team) { (void)team; }

#endif
