/* One line on standard error: what, done/total, rate, time left. */
#include "cli/cli.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

static const double interval = 0.1; /* seconds between two drawings */

double sn_cli_seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

sn_meter sn_meter_make(bool quiet) { return (sn_meter){ .terminal = isatty(STDERR_FILENO), .quiet = quiet }; }

void sn_meter_clear(sn_meter *meter)
{
	if (meter->shown) fputs("\r\033[K", stderr); /* back to the left edge, erase to the right one */
	meter->shown = false;
}

void sn_meter_note(void *payload, const char *text)
{
	sn_meter *meter = payload;
	if (meter->quiet) return;
	sn_meter_clear(meter);
	fprintf(stderr, "sonde: %s\n", text);
}

void sn_meter_stream(void *payload, const char *text)
{
	sn_meter *meter = payload;
	if (meter->quiet || !meter->terminal) return;
	sn_meter_clear(meter);
	fputs(text, stderr);
	fflush(stderr);
}

static void format_time(char *buf, size_t size, double seconds)
{
	long s = (long)(seconds + 0.5);
	if (s >= 3600)
		sn_format(buf, size, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
	else
		sn_format(buf, size, "%ld:%02ld", s / 60, s % 60);
}

static void draw(const sn_meter *meter, const char *what, int64_t done, int64_t total, double now)
{
	double elapsed = now - meter->started, rate = elapsed > 0 ? (double)(done - meter->found) / elapsed : 0;
	char line[160], left[32] = "";
	int n = sn_format(line, sizeof line, total > 0 ? "%.60s %lld/%lld" : "%.60s %lld", what, (long long)done,
					  (long long)total);
	if (rate > 0) n += sn_format(line + n, sizeof line - (size_t)n, rate < 100 ? "  %.3g/s" : "  %.0f/s", rate);
	if (rate > 0 && total > done) {
		format_time(left, sizeof left, (double)(total - done) / rate);
		sn_format(line + n, sizeof line - (size_t)n, "  %s left", left);
	}
	fprintf(stderr, "\r%.79s\033[K", line);
	fflush(stderr);
}

void sn_meter_progress(void *payload, const char *what, int64_t done, int64_t total)
{
	sn_meter *meter = payload;
	if (meter->quiet || !meter->terminal) return;
	double now = sn_cli_seconds();
	if (!meter->what || strcmp(meter->what, what) != 0) {
		meter->what = what;
		meter->started = now;
		meter->last = 0;
		meter->found = done;
	}
	if (now - meter->last < interval && done != total) return;
	meter->last = now;
	draw(meter, what, done, total, now);
	meter->shown = true;
}
