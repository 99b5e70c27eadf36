/* The command line. A command is one file cmd_*.c that ends in its row, and one line in commands.c; methods need
 * neither: `sonde FAMILY NAME` is made from the registry. */
#ifndef SN_CLI_CLI_H
#define SN_CLI_CLI_H

#include "base/option.h"
#include "data/result.h"

/* Options every command takes. A command's own option of the same name hides the common one. */
typedef struct sn_common {
	const char *format, *out, *store, *precision, *memory;
	int64_t seed, threads;
	bool resume, quiet, help;
} sn_common;
extern const sn_param_table sn_common_table;

enum { SN_MOST_OPERANDS = 4 };

/* A command at work. Everything a command prints is appended to out, which reaches standard output when it returns
 * (also when it fails), or earlier by sn_cli_flush. */
typedef struct sn_cli {
	sn_ctx *ctx;
	sn_arena *arena; /* closed after the command */
	sn_common common;
	sn_team team;            /* the ranks; n 0: alone */
	const void *param;       /* the command's own parameter struct */
	const sn_method *method; /* for commands made from the registry */
	const char *words;       /* the whole command line but for --resume, quoted for a shell */
	const char *operand[SN_MOST_OPERANDS];
	int n_operand;
	sn_buf out;
} sn_cli;

typedef struct sn_command {
	const char *family, *name; /* `sonde FAMILY NAME`; family "": `sonde NAME` */
	const char *brief, *doc, *example;
	const char *operands; /* as shown in the usage line: "RUN", "MODEL"; NULL: none */
	int min_operand, max_operand;
	const sn_param *param;
	int n_param;
	size_t param_size;
	sn_status (*run)(sn_cli *cli);
} sn_command;

/* Returns command i of the table, or NULL past the end; methods are not among them. */
const sn_command *sn_command_at(int i);

/* What a method's command takes beside the method's own parameters. */
typedef struct sn_method_input {
	const char *model, *data;
} sn_method_input;
/* Returns the rows for what a method needs: --model, --data. */
sn_param_table sn_method_input_table(const sn_method *method);

/* Lets waiting OpenMP threads sleep, by starting the command again with that setting; returns if it stands already. */
void sn_wait_politely(char **argv);

/* ---- parsing ---- */

/* What the words of a command line may set: tables in order of precedence, each with its struct. */
typedef struct sn_target {
	sn_param_table table;
	void *values;
} sn_target;
typedef struct sn_parser {
	sn_ctx *ctx;
	sn_arena *arena;
	const char *command; /* "probe linear", for messages */
	sn_target target[3];
	int n_target;
	const char *operand[SN_MOST_OPERANDS];
	int n_operand, max_operand;
} sn_parser;
/* Parses `--name value`, `--name=value`, `--flag`, `--no-flag`, `-h` and operands ("-" is one; after "--" all are).
 * SN_EARG names the nearest option for an unknown one. Defaults are filled first. Missing required options are not
 * looked for. */
SN_CHECKED sn_status sn_parse_words(sn_parser *parser, int argc, char **argv);
/* SN_EARG if a required option was not given. */
SN_CHECKED sn_status sn_parse_check(const sn_parser *parser);

/* ---- help ---- */

void sn_help_overview(sn_buf *buf);
/* The members of a family; false if there is no such family. */
bool sn_help_family(sn_buf *buf, const char *family);
void sn_help_command(sn_buf *buf, const sn_command *command);
void sn_help_method(sn_buf *buf, const sn_method *method);

/* ---- manual pages (troff, section 1) ---- */

void sn_man_overview(sn_buf *buf);
void sn_man_command(sn_buf *buf, const sn_command *command);
void sn_man_method(sn_buf *buf, const sn_method *method);

/* ---- output ---- */

/* Writes what stands in out to standard output. SN_EDISK, SN_EIO. */
SN_CHECKED sn_status sn_cli_flush(sn_cli *cli);
/* Prints a result in the format asked for, writes the report folder (--out) and the store (--store, or in that folder).
 */
SN_CHECKED sn_status sn_cli_emit(sn_cli *cli, const sn_result *result, sn_status ended, double seconds);
/* Appends a result in the format asked for. */
SN_CHECKED sn_status sn_cli_print(sn_cli *cli, const sn_result *result);
/* Writes report.html, result.json, rows.csv and one SVG a figure into a folder, made if absent. */
SN_CHECKED sn_status sn_cli_write_folder(sn_ctx *ctx, const char *folder, const sn_result *result);
/* Makes a folder, unless it is there. SN_EIO, SN_EDISK. */
SN_CHECKED sn_status sn_cli_make_folder(sn_ctx *ctx, const char *folder);
/* Returns the path of the store to use: --store, else FOLDER/runs.sqlite with --out, else $SONDE_STORE, else NULL. From
 * the command's arena. */
const char *sn_cli_store_path(sn_cli *cli);
/* A plain table, or its rows as CSV or JSON objects, in the format asked for. header: stable names; right: numbers,
 * which JSON writes bare (an empty one as null). */
SN_CHECKED sn_status sn_cli_table(sn_cli *cli, const char *const *header, const bool *right, int n_col,
								  const char *const *cell, int64_t n_row);

/* Monotonic seconds. */
double sn_cli_seconds(void);

/* ---- taking up an interrupted run ---- */

/* Attaches the checkpoint of cli->method's run (base/checkpoint.h): beside the file or in the folder that it writes;
 * where it only prints, under $XDG_STATE_HOME/sonde (~/.local/state/sonde), named by a hash of the command. */
SN_CHECKED sn_status sn_cli_checkpoint(sn_cli *cli, const sn_method_input *input);
/* After the run: deletes the checkpoint of one that ended well, or that could not have; otherwise keeps it and says so
 * in the error. Returns status. */
sn_status sn_cli_checkpoint_end(sn_cli *cli, sn_status status);

/* ---- progress on standard error ---- */

typedef struct sn_meter {
	bool terminal, quiet, shown;
	const char *what; /* the phase whose rate is being measured */
	double started, last;
	int64_t found; /* done when the phase began: an interrupted run's work has no part in the rate */
} sn_meter;
/* The meter is silent unless standard error is a terminal. */
sn_meter sn_meter_make(bool quiet);
sn_progress_fn sn_meter_progress; /* payload: sn_meter */
sn_note_fn sn_meter_note;
sn_stream_fn sn_meter_stream;
/* Takes the line away. */
void sn_meter_clear(sn_meter *meter);

#endif
