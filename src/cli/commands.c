/* The commands that are no methods, in the order they are listed. */
#include "cli/cli.h"

/* X(variable of the row) */
#define COMMANDS(X)                                                                                                    \
	X(sn_command_model_info)                                                                                           \
	X(sn_command_model_sites)                                                                                          \
	X(sn_command_model_pull)                                                                                           \
	X(sn_command_methods)                                                                                              \
	X(sn_command_runs_list)                                                                                            \
	X(sn_command_runs_show)                                                                                            \
	X(sn_command_runs_export)                                                                                          \
	X(sn_command_tokenize)                                                                                             \
	X(sn_command_data_make)

#define DECLARE(row) extern const sn_command row;
COMMANDS(DECLARE)

#define ADDRESS(row) &row,
static const sn_command *const commands[] = { COMMANDS(ADDRESS) NULL };

const sn_command *sn_command_at(int i) { return i >= 0 && i < SN_COUNT(commands) - 1 ? commands[i] : NULL; }

static const sn_param common[] = {
	{ .name = "format",
	  .help = "how results are printed",
	  .def = "table",
	  .choices = "table|json|csv|tsv",
	  .type = SN_TYPE_TEXT,
	  .off = offsetof(sn_common, format) },
	{ .name = "out",
	  .unit = "DIR",
	  .help = "folder for report.html, result.json, rows.csv and the figures",
	  .type = SN_TYPE_TEXT,
	  .off = offsetof(sn_common, out) },
	{ .name = "store",
	  .unit = "FILE",
	  .help = "SQLite file that keeps runs; by default runs.sqlite in the folder of --out, or $SONDE_STORE",
	  .type = SN_TYPE_TEXT,
	  .off = offsetof(sn_common, store) },
	{ .name = "seed",
	  .help = "key of every random draw",
	  .def = "1",
	  .type = SN_TYPE_INT,
	  .off = offsetof(sn_common, seed),
	  .max = 9e18 },
	{ .name = "threads",
	  .help = "threads; 0 uses every processor",
	  .def = "0",
	  .type = SN_TYPE_INT,
	  .off = offsetof(sn_common, threads),
	  .max = 4096 },
	{ .name = "memory",
	  .unit = "SIZE",
	  .help = "what the model and its runs may take: bytes, or with K, M, G (powers of 1,024), as 512M or 1.5G; less "
			  "is slower, with the same results. auto: 60 % of what is free",
	  .def = "auto",
	  .type = SN_TYPE_TEXT,
	  .off = offsetof(sn_common, memory) },
	{ .name = "precision",
	  .help =
		  "of the matrix products: float32; three products of bfloat16 halves (relative error about 4e-6); one of them "
		  "(about 2e-3). Without bfloat16 instructions all are float32, which the result says",
	  .def = "f32",
	  .choices = "f32|bf16x3|bf16",
	  .type = SN_TYPE_TEXT,
	  .off = offsetof(sn_common, precision) },
	{ .name = "resume",
	  .help = "go on from what the same command, interrupted or killed, had finished",
	  .type = SN_TYPE_BOOL,
	  .off = offsetof(sn_common, resume) },
	{ .name = "quiet",
	  .help = "no progress and no notes on standard error",
	  .type = SN_TYPE_BOOL,
	  .off = offsetof(sn_common, quiet) },
	{ .name = "help", .help = "explain the command", .type = SN_TYPE_BOOL, .off = offsetof(sn_common, help) },
};
const sn_param_table sn_common_table = { common, SN_COUNT(common) };
