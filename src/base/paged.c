#define _GNU_SOURCE
#include "base/paged.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LONGEST_PATH = 4096 };

/* A nameless file of that size; -1 with the error set. */
static int open_file(sn_ctx *ctx, size_t size)
{
	char path[LONGEST_PATH];
	const char *folder = getenv("TMPDIR");
	sn_format(path, sizeof path, "%s/sonde-XXXXXX", folder && *folder ? folder : "/tmp");
	int fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0) return (void)sn_fail_errno(ctx, path, "create"), -1;
	unlink(path);
	int failed = posix_fallocate(fd, 0, (off_t)size);
	if (failed == 0) return fd;
	errno = failed;
	(void)sn_fail_errno(ctx, path, "make room for a matrix in");
	close(fd);
	return -1;
}

void *sn_paged_take(sn_ctx *ctx, size_t size)
{
	int fd = open_file(ctx, size);
	if (fd < 0) return NULL;
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (p != MAP_FAILED) return p;
	(void)sn_fail(ctx, SN_ENOMEM, "out of memory: %zu bytes of a file cannot be mapped", size);
	return NULL;
}

void sn_paged_free(void *p, size_t size) { munmap(p, size); }

void sn_paged_done(void *all, size_t all_size, const void *p, size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), first = (size_t)((const char *)p - (const char *)all),
		   end = first + size;
	first = first / page * page;
	end = SN_MIN((end + page - 1) / page * page, (all_size + page - 1) / page * page);
	(void)madvise((char *)all + first, end - first, MADV_DONTNEED);
}
