/* How much memory is free: /proc/meminfo, and the limits of the control groups that the process is in. */
#include "base/base.h"

#include <stdlib.h>
#include <string.h>

enum { LONGEST = 4096 };

/* Reads the number behind a name in a file of "name number" lines; name NULL: the file is one number. -1: none there,
 * "max" or no such file. */
static int64_t read_number(const char *path, const char *name)
{
	char line[LONGEST];
	int64_t found = -1;
	FILE *file = fopen(path, "re");
	while (file && found < 0 && fgets(line, sizeof line, file)) {
		size_t n = name ? strlen(name) : 0;
		if (n && (strncmp(line, name, n) != 0 || !strchr(" :\t", line[n]))) continue;
		const char *digits = line + n + strspn(line + n, ": \t");
		char *end;
		int64_t value = strtoll(digits, &end, 10);
		if (end > digits && value >= 0) found = value;
		if (!n) break;
	}
	if (file) (void)fclose(file);
	return found;
}

/* What a control group leaves: its limit less what it uses, without cached files, which give way. -1: no limit. */
static int64_t left_in_group(const char *folder, bool v2)
{
	char path[LONGEST + 64];
	sn_format(path, sizeof path, "%s/%s", folder, v2 ? "memory.max" : "memory.limit_in_bytes");
	int64_t limit = read_number(path, NULL);
	if (limit < 0) return -1;
	sn_format(path, sizeof path, "%s/%s", folder, v2 ? "memory.current" : "memory.usage_in_bytes");
	int64_t used = SN_MAX(read_number(path, NULL), 0);
	sn_format(path, sizeof path, "%s/memory.stat", folder);
	int64_t cached = SN_MAX(read_number(path, v2 ? "file" : "total_cache"), 0);
	return SN_MAX(limit - SN_MAX(used - cached, 0), 0);
}

static int64_t smaller(int64_t a, int64_t b) { return a < 0 || (b >= 0 && b < a) ? b : a; }

/* The group at path below root and all groups above it. */
static int64_t left_in_groups(const char *root, char *path, bool v2)
{
	char folder[LONGEST];
	int64_t left = -1;
	for (;;) {
		sn_format(folder, sizeof folder, "%s%s", root, path);
		left = smaller(left, left_in_group(folder, v2));
		char *slash = strrchr(path, '/');
		if (!slash) return left;
		*slash = '\0';
	}
}

/* Lines of /proc/self/cgroup: "0::/path" (v2), "5:memory:/path" (v1). */
static int64_t left_by_groups(void)
{
	char line[LONGEST / 2];
	int64_t left = -1;
	FILE *file = fopen("/proc/self/cgroup", "re");
	while (file && fgets(line, sizeof line, file)) {
		line[strcspn(line, "\n")] = '\0';
		char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
		if (!path) continue;
		*path++ = '\0';
		bool v2 = !controllers[1];
		if (v2 || strstr(controllers, "memory"))
			left = smaller(left, left_in_groups(v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory", path, v2));
	}
	if (file) (void)fclose(file);
	return left;
}

int64_t sn_memory_free(void)
{
	const int64_t unknown = INT64_C(1) << 30;
	int64_t available = read_number("/proc/meminfo", "MemAvailable");
	if (available >= 0) available *= 1024;
	int64_t left = smaller(available, left_by_groups());
	return left < 0 ? unknown : left;
}
