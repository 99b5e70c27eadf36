/* Threads that wait should sleep: OpenMP's default is to spin, which on a shared machine takes the processor from the
 * very thread that is waited for (seen: 70 % of all cycles spent spinning under load). The library reads its setting
 * when it is loaded, so the command starts itself again with it; a setting of the user's stands. */
#include "cli/cli.h"

#include <stdlib.h>
#include <unistd.h>

void sn_wait_politely(char **argv)
{
	if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT")) return;
	/* where that fails, things only run hotter */
	if (setenv("OMP_WAIT_POLICY", "passive", 1) == 0) execv("/proc/self/exe", argv);
}
