/* sonde: finds the command, parses its words, runs it, turns its status into the exit code. */
#include "base/work.h"
#include "cli/cli.h"
#include "cli/method.h"
#include "cli/ranks.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

/* The one thing a signal handler can reach. */
static sn_ctx *volatile running;

static void on_interrupt(int signal_number)
{
	if (running) sn_cancel(running);
	signal(signal_number, SIG_DFL); /* a second Ctrl-C ends at once */
}

static int fail(const char *text, sn_status status)
{
	fprintf(stderr, "sonde: %s\n", text);
	return sn_status_exit_code(status);
}

/* All ranks fail alike; the first one says so. */
static int fail_as(const sn_cli *cli, sn_status status)
{
	return cli->team.rank > 0 ? sn_status_exit_code(status) : fail(sn_error(cli->ctx), status);
}

/* ---- finding ---- */

/* What the first words name: a command or a method, and how many words that took. */
typedef struct found {
	const sn_command *command;
	const sn_method *method;
	int words;
} found;

static bool names(const char *family, const char *name, int argc, char **argv, int *words)
{
	*words = family[0] ? 2 : 1;
	if (argc < *words) return false;
	if (!family[0]) return strcmp(argv[0], name) == 0;
	return strcmp(argv[0], family) == 0 && strcmp(argv[1], name) == 0;
}

static found find(int argc, char **argv)
{
	found f = { 0 };
	for (int i = 0; (f.command = sn_command_at(i)); i++)
		if (names(f.command->family, f.command->name, argc, argv, &f.words)) return f;
	for (int i = 0; (f.method = sn_method_at(i)); i++)
		if (names(f.method->family, f.method->name, argc, argv, &f.words)) return f;
	return f;
}

enum { MOST_WORDS = 256 };

/* The words that may stand first, or second after family. */
static int words_after(const char *family, const char **word)
{
	int n = 0;
	const sn_command *c;
	const sn_method *m;
	for (int i = 0; (c = sn_command_at(i)) && n < MOST_WORDS; i++)
		if (!family)
			word[n++] = c->family[0] ? c->family : c->name;
		else if (strcmp(c->family, family) == 0)
			word[n++] = c->name;
	for (int i = 0; (m = sn_method_at(i)) && n < MOST_WORDS; i++)
		if (!family)
			word[n++] = m->family[0] ? m->family : m->name;
		else if (strcmp(m->family, family) == 0)
			word[n++] = m->name;
	return n;
}

static int unknown_command(const sn_cli *cli, const char *family, const char *text)
{
	const char *word[MOST_WORDS];
	if (cli->team.rank > 0) return sn_status_exit_code(SN_EARG);
	int n = words_after(family, word), nearest = sn_nearest(text, word, n);
	const char *before = family ? family : "", *space = family ? " " : "";
	fprintf(stderr, "sonde: unknown command \"%s%s%s\"", before, space, text);
	if (nearest >= 0) fprintf(stderr, "; did you mean \"%s%s%s\"?", before, space, word[nearest]);
	fprintf(stderr, " `sonde%s%s --help` lists all\n", space, before);
	return sn_status_exit_code(SN_EARG);
}

/* The command line as a shell would read it back; a run that was taken up is the same run. */
static const char *quote_words(sn_arena *arena, int argc, char **argv)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=./,:@%+";
	sn_buf buf = { .ctx = sn_arena_ctx(arena) };
	sn_buf_puts(&buf, "sonde");
	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "--resume") == 0) continue;
		bool safe = argv[i][0] && strspn(argv[i], plain) == strlen(argv[i]);
		sn_buf_puts(&buf, safe ? " " : " '");
		for (const char *c = argv[i]; *c; c++) sn_buf_add(&buf, *c == '\'' ? "'\\''" : c, *c == '\'' ? 4 : 1);
		sn_buf_puts(&buf, safe ? "" : "'");
	}
	const char *words = buf.failed ? NULL : sn_arena_string(arena, buf.data);
	sn_buf_free(&buf);
	return words;
}

/* ---- running ---- */

static sn_parser make_parser(sn_cli *cli, const found *f, const char *name, void *param, sn_method_input *input)
{
	sn_parser p = { .ctx = cli->ctx, .arena = cli->arena, .command = name };
	if (f->command) {
		p.target[p.n_target++] = (sn_target){ { f->command->param, f->command->n_param }, param };
		p.max_operand = f->command->max_operand;
	} else {
		p.target[p.n_target++] = (sn_target){ { f->method->param, f->method->n_param }, param };
		p.target[p.n_target++] = (sn_target){ sn_method_input_table(f->method), input };
		p.max_operand = f->method->needs & SN_NEEDS_MODEL ? 1 : 0;
	}
	p.target[p.n_target++] = (sn_target){ sn_common_table, &cli->common };
	return p;
}

static sn_status check_words(const sn_parser *p, const found *f)
{
	SN_TRY(sn_parse_check(p));
	if (f->command && p->n_operand < f->command->min_operand)
		return sn_fail(p->ctx, SN_EARG, "expected %s; see `sonde %s --help`", f->command->operands, p->command);
	return SN_OK;
}

/* A method's model may stand without its --model: `sonde model check MODEL`; or a parameter that the method names. */
static sn_status take_operand(const sn_parser *p, const found *f, sn_method_input *input)
{
	if (f->command || p->n_operand == 0) return SN_OK;
	if (f->method->operand) {
		const sn_param *param = sn_param_find(&p->target[0].table, f->method->operand);
		return sn_param_set(p->ctx, param, p->operand[0], p->arena, p->target[0].values);
	}
	if (input->model)
		return sn_fail(p->ctx, SN_EARG, "two models: \"%s\" and --model %s; name one", p->operand[0], input->model);
	input->model = p->operand[0];
	return SN_OK;
}

static sn_precision precision_named(const char *name)
{
	if (strcmp(name, "bf16") == 0) return SN_BF16_PRECISION;
	return strcmp(name, "bf16x3") == 0 ? SN_BF16X3_PRECISION : SN_F32_PRECISION;
}

static sn_status memory_named(sn_ctx *ctx, const char *size, int64_t *bytes)
{
	*bytes = 0;
	if (strcmp(size, "auto") == 0 || (sn_parse_size(size, bytes) && *bytes > 0)) return SN_OK;
	return sn_fail(ctx, SN_EARG, "--memory %s is no size; give bytes, 512M, 1.5G or auto", size);
}

/* The context that the work runs in; the one that parsed keeps the texts of the options. */
static sn_status run_found(sn_cli *cli, const found *f, const sn_method_input *input, sn_meter *meter)
{
	sn_options options = { .size = sizeof options,
						   .threads = (int)cli->common.threads,
						   .seed = (uint64_t)cli->common.seed,
						   .precision = precision_named(cli->common.precision),
						   .progress = sn_meter_progress,
						   .note = sn_meter_note,
						   .stream = sn_meter_stream,
						   .payload = meter };
	if (f->method) options.team = cli->team; /* other commands have no work for several: rank 0 does it */
	if (options.threads == 0 && f->method) options.threads = sn_ranks_threads(&cli->team);
	sn_ctx *front = cli->ctx;
	SN_TRY(memory_named(front, cli->common.memory, &options.memory));
	sn_status status = sn_ctx_open(&cli->ctx, &options);
	if (status != SN_OK) return cli->ctx = front, sn_fail(front, status, "out of memory to begin");
	running = cli->ctx;
	cli->out = (sn_buf){ .ctx = cli->ctx };
	status = f->command ? f->command->run(cli) : sn_method_command(cli, input);
	sn_meter_clear(meter);
	sn_status flushed = sn_cli_flush(cli);
	if (status == SN_OK)
		status = flushed;
	else if (sn_poll(cli->ctx) != SN_OK)
		status = SN_ECANCEL; /* a read that Ctrl-C cut short failed in its own way */
	status = sn_team_part(cli->ctx, status);
	if (status != SN_OK) (void)sn_fail(front, status, "%s", sn_error(cli->ctx));
	running = NULL;
	sn_buf_free(&cli->out);
	sn_ctx_close(cli->ctx);
	cli->ctx = front;
	return status;
}

static sn_status print_help(sn_cli *cli, const found *f)
{
	if (f->command)
		sn_help_command(&cli->out, f->command);
	else
		sn_help_method(&cli->out, f->method);
	return sn_cli_flush(cli);
}

static sn_status parse_and_run(sn_cli *cli, const found *f, int argc, char **argv)
{
	const char *family = f->command ? f->command->family : f->method->family,
			   *name = f->command ? f->command->name : f->method->name;
	char full[128];
	sn_format(full, sizeof full, "%s%s%s", family, family[0] ? " " : "", name);
	size_t size = f->command ? f->command->param_size : f->method->param_size;
	void *param = sn_arena_take(cli->arena, size);
	if (!param) return SN_ENOMEM;
	sn_method_input input = { 0 };
	sn_parser p = make_parser(cli, f, full, param, &input);
	SN_TRY(sn_parse_words(&p, argc, argv));
	if (cli->common.help) return print_help(cli, f);
	SN_TRY(take_operand(&p, f, &input));
	SN_TRY(check_words(&p, f));
	cli->param = param;
	cli->method = f->method;
	memcpy(cli->operand, p.operand, sizeof p.operand);
	cli->n_operand = p.n_operand;
	sn_meter meter = sn_meter_make(cli->common.quiet || cli->team.rank > 0);
	if (f->command && cli->team.rank > 0) return SN_OK;
	return run_found(cli, f, &input, &meter);
}

/* Prints what append leaves in a buffer. */
static sn_status print_overview(sn_cli *cli, const char *family)
{
	if (family)
		(void)sn_help_family(&cli->out, family);
	else
		sn_help_overview(&cli->out);
	return sn_cli_flush(cli);
}

/* `sonde --man [COMMAND]`: for the build, which installs the pages. */
static sn_status print_man(sn_cli *cli, int argc, char **argv)
{
	found f = find(argc, argv);
	if (f.command)
		sn_man_command(&cli->out, f.command);
	else if (f.method)
		sn_man_method(&cli->out, f.method);
	else
		sn_man_overview(&cli->out);
	return sn_cli_flush(cli);
}

static bool is_help(const char *word) { return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0; }

static bool is_family(const char *word)
{
	const char *unused[MOST_WORDS];
	return word[0] && words_after(word, unused) > 0;
}

/* Words that name no command: help, the version, a family alone, or a mistake. */
static int other_words(sn_cli *cli, int argc, char **argv, sn_status *status)
{
	if (argc == 0 || is_help(argv[0])) return *status = print_overview(cli, NULL), -1;
	if (strcmp(argv[0], "--version") == 0) {
		sn_buf_format(&cli->out, "sonde %s\n", sn_version());
		return *status = sn_cli_flush(cli), -1;
	}
	if (strcmp(argv[0], "--man") == 0) return *status = print_man(cli, argc - 1, argv + 1), -1;
	if (!is_family(argv[0])) return unknown_command(cli, NULL, argv[0]);
	if (argc == 1 || is_help(argv[1])) return *status = print_overview(cli, argv[0]), -1;
	return unknown_command(cli, argv[0], argv[1]);
}

static int run_words(sn_cli *cli, int argc, char **argv)
{
	sn_status status = SN_OK;
	if (argc > 1 && strcmp(argv[0], "help") == 0) { /* sonde help X = sonde X --help */
		argv++;
		argc--;
		cli->common.help = true;
	}
	found f = find(argc, argv);
	int code = -1;
	if (!f.command && !f.method)
		code = other_words(cli, argc, argv, &status);
	else if (cli->common.help)
		status = print_help(cli, &f);
	else
		status = parse_and_run(cli, &f, argc - f.words, argv + f.words);
	if (code >= 0) return code;
	return status == SN_OK ? 0 : fail_as(cli, status);
}

static int run_team(sn_cli *cli, int argc, char **argv)
{
	sn_status status = sn_ranks_open(&cli->team, cli->ctx);
	if (status != SN_OK) return fail(sn_error(cli->ctx), status);
	int code = run_words(cli, argc, argv);
	sn_ranks_close(&cli->team);
	return code;
}

int main(int argc, char **argv)
{
	sn_wait_politely(argv);
	sn_options options = { .size = sizeof options, .threads = 1 };
	sn_cli cli = { 0 };
	if (sn_ctx_open(&cli.ctx, &options) != SN_OK || sn_arena_open(&cli.arena, cli.ctx) != SN_OK)
		return fail("out of memory to begin", SN_ENOMEM);
	struct sigaction action = { .sa_handler = on_interrupt };
	sigaction(SIGINT, &action, NULL);
	cli.out = (sn_buf){ .ctx = cli.ctx };
	cli.words = quote_words(cli.arena, argc - 1, argv + 1);
	int code = cli.words ? run_team(&cli, argc - 1, argv + 1) : fail("out of memory to begin", SN_ENOMEM);
	sn_buf_free(&cli.out);
	sn_arena_close(cli.arena);
	sn_ctx_close(cli.ctx);
	if (fclose(stdout) != 0 && code == 0) return fail(strerror(errno), errno == ENOSPC ? SN_EDISK : SN_EIO);
	return code;
}
