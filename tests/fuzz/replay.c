/* Calls a driver with every file of the folders named on the command line. Exit code 1 if there is none. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "fuzz.h"

/* The copy is exactly as long as the file, so that a sanitizer sees a read behind it. */
static int replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	if (!f || fseek(f, 0, SEEK_END) != 0) return 0;
	long size = ftell(f);
	rewind(f);
	uint8_t *bytes = size < 0 ? NULL : malloc((size_t)size + (size == 0));
	int done = bytes && fread(bytes, 1, (size_t)size, f) == (size_t)size;
	fclose(f);
	if (done) (void)LLVMFuzzerTestOneInput(bytes, (size_t)size);
	free(bytes);
	return done;
}

static int replay_folder(const char *folder)
{
	DIR *dir = opendir(folder);
	int n = 0;
	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		char path[4096];
		snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
		if (entry->d_name[0] != '.') n += replay_file(path);
	}
	if (dir) closedir(dir);
	return n;
}

int main(int n_arg, char **arg)
{
	int n = 0;
	for (int i = 1; i < n_arg; i++) n += replay_folder(arg[i]);
	printf("%d inputs replayed\n", n);
	return n == 0;
}
