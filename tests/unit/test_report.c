/* Reports of a made-up result shaped as localize's: valid, escaped, complete, the same each time. SN_REPORT_OUT=FOLDER
 * keeps the page and the figures for looking at. */
#include "common/test.h"
#include "report/palette.h"
#include "report/report.h"
#include "report/svg.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { LAYERS = 31, CURVES = 0, HEAT, VERDICTS, BEHAVIOUR, EXAMPLES, CONTROLS, PAIRS, TOKENS, SITES, RANKS };
static const char *const roles[] = { "subject", "attractor", "last", "other" };

static const sn_col curves[] = {
	{ .name = "layer", .type = SN_TYPE_INT, .role = SN_DIM, .title = "Layer boundary" },
	{ .name = "role", .type = SN_TYPE_TEXT, .role = SN_DIM },
	{ .name = "I", .unit = "bits", .type = SN_TYPE_FLOAT, .role = SN_MEASURE, .better = 1, .title = "I, encoded" },
	{ .name = "I_low", .of = "I", .type = SN_TYPE_FLOAT, .role = SN_LOW },
	{ .name = "I_high", .of = "I", .type = SN_TYPE_FLOAT, .role = SN_HIGH },
	{ .name = "surface", .of = "I", .type = SN_TYPE_FLOAT, .role = SN_BASE, .title = "surface probe" },
	{ .name = "E",
	  .unit = "share of D",
	  .type = SN_TYPE_FLOAT,
	  .role = SN_MEASURE,
	  .better = 1,
	  .title = "E, the choice passes here" },
	{ .name = "E_low", .of = "E", .type = SN_TYPE_FLOAT, .role = SN_LOW },
	{ .name = "E_high", .of = "E", .type = SN_TYPE_FLOAT, .role = SN_HIGH },
	{ .name = "floor", .of = "E", .type = SN_TYPE_FLOAT, .role = SN_BASE, .title = "placebo floor" },
	{ .name = "certain", .of = "E", .type = SN_TYPE_BOOL, .role = SN_HATCH },
	{ .name = "n", .unit = "pairs", .type = SN_TYPE_INT, .role = SN_COUNT_OF },
};
static const sn_col heat[] = {
	{ .name = "layer", .type = SN_TYPE_INT, .role = SN_DIM, .title = "Layer boundary" },
	{ .name = "role", .type = SN_TYPE_TEXT, .role = SN_DIM },
	{ .name = "quantity", .type = SN_TYPE_TEXT, .role = SN_FACET },
	{ .name = "effect", .unit = "share of D", .type = SN_TYPE_FLOAT, .role = SN_MEASURE, .title = "Effect" },
	{ .name = "certain", .type = SN_TYPE_BOOL, .role = SN_HATCH },
	{ .name = "mark", .type = SN_TYPE_TEXT, .role = SN_MARK },
};
static const sn_col verdicts[] = {
	{ .name = "layer", .type = SN_TYPE_INT, .role = SN_DIM, .title = "Layer boundary" },
	{ .name = "role", .type = SN_TYPE_TEXT, .role = SN_DIM },
	{ .name = "verdict", .type = SN_TYPE_TEXT, .role = SN_MEASURE, .title = "Verdict" },
	{ .name = "certain", .type = SN_TYPE_BOOL, .role = SN_HATCH },
};
static const sn_col behaviour[] = {
	{ .name = "condition", .type = SN_TYPE_TEXT, .role = SN_DIM },
	{ .name = "match", .type = SN_TYPE_TEXT, .role = SN_DIM },
	{ .name = "accuracy",
	  .unit = "share",
	  .type = SN_TYPE_FLOAT,
	  .role = SN_MEASURE,
	  .better = 1,
	  .title = "Accuracy" },
	{ .name = "low", .of = "accuracy", .type = SN_TYPE_FLOAT, .role = SN_LOW },
	{ .name = "high", .of = "accuracy", .type = SN_TYPE_FLOAT, .role = SN_HIGH },
	{ .name = "chance", .of = "accuracy", .type = SN_TYPE_FLOAT, .role = SN_BASE, .title = "chance" },
};
static const sn_col examples[] = {
	{ .name = "text", .type = SN_TYPE_TEXT, .role = SN_TEXT },
	{ .name = "condition", .type = SN_TYPE_TEXT, .role = SN_DIM },
	{ .name = "LD", .unit = "nats", .type = SN_TYPE_FLOAT, .role = SN_MEASURE },
};
static const sn_col tokens[] = {
	{ .name = "token", .type = SN_TYPE_TEXT, .role = SN_DIM, .title = "Token" },
	{ .name = "layer", .type = SN_TYPE_INT, .role = SN_DIM },
	{ .name = "effect", .unit = "nats", .type = SN_TYPE_FLOAT, .role = SN_MEASURE },
};
static const sn_col ranks[] = {
	{ .name = "depth", .unit = "share", .type = SN_TYPE_FLOAT, .role = SN_DIM, .title = "Depth" },
	{ .name = "rank", .type = SN_TYPE_FLOAT, .role = SN_MEASURE, .better = -1, .title = "Rank" },
};
static const sn_table tables[] = {
	{ .name = "curves",
	  .title = "Where number is encoded, and where the choice passes",
	  .col = curves,
	  .n_col = SN_COUNT(curves),
	  .view = SN_VIEW_LINE,
	  .caption =
		  "Bands: simultaneous 95 % intervals over all cells of a quantity. Hollow marks hold for any causal model." },
	{ .name = "heat",
	  .title = "Layer by role",
	  .col = heat,
	  .n_col = SN_COUNT(heat),
	  .view = SN_VIEW_HEAT,
	  .caption = "Share of the full effect D. + marks cells whose lower bound exceeds 0.10." },
	{ .name = "verdicts",
	  .title = "Verdicts",
	  .col = verdicts,
	  .n_col = SN_COUNT(verdicts),
	  .view = SN_VIEW_HEAT,
	  .caption = "One verdict a cell, at a threshold of 0.10." },
	{ .name = "behaviour",
	  .title = "Behaviour by condition",
	  .col = behaviour,
	  .n_col = SN_COUNT(behaviour),
	  .view = SN_VIEW_BAR,
	  .caption = "Share of prefixes at which the right form is more probable; Wilson intervals over lemmas." },
	{ .name = "examples",
	  .title = "Example items",
	  .col = examples,
	  .n_col = SN_COUNT(examples),
	  .view = SN_VIEW_TEXT },
	{ .name = "controls", .title = "Controls", .col = behaviour, .n_col = SN_COUNT(behaviour), .view = SN_VIEW_TABLE },
	{ .name = "pairs",
	  .title = "Verdicts at other thresholds",
	  .col = verdicts,
	  .n_col = SN_COUNT(verdicts),
	  .appendix = true,
	  .view = SN_VIEW_HEAT },
	{ .name = "tokens", .title = "Layer by position", .col = tokens, .n_col = SN_COUNT(tokens), .view = SN_VIEW_HEAT },
	{ .name = "sites", .title = "Sites", .col = tokens, .n_col = SN_COUNT(tokens), .view = SN_VIEW_LINE },
	{ .name = "ranks", .title = "Ranks", .col = ranks, .n_col = SN_COUNT(ranks), .view = SN_VIEW_LINE },
};
static const sn_param params[] = {
	{ .name = "effort",
	  .help = "preset of items & pairs",
	  .def = "standard",
	  .type = SN_TYPE_TEXT,
	  .choices = "quick|standard" },
};

static double rise(int l, double at) { return 1 / (1 + exp(-(l - at) / 1.5)); }

static sn_status add_cell(sn_result *out, int l, int role)
{
	double sub = 1 - rise(l, 17), last = rise(l, 18);
	double E = role == 0   ? sub
			   : role == 2 ? last
			   : role == 1 ? -0.04 + 0.03 * sin(l)
						   : 0.05 * rise(l, 12) * (1 - rise(l, 18));
	double I = role == 0 ? 0.97 - 0.3 * exp(-l) : role == 2 ? 0.9 * rise(l, 14) : role == 1 ? 0.12 * rise(l, 6) : NAN;
	bool certain = (role == 0 && l == 0) || l == LAYERS - 1;
	double w = 0.03 + 0.05 * E * (1 - E);
	const char *verdict = I > 0.1 && E > 0.1 ? "encoded and used"
						  : I > 0.1          ? "encoded, not used from here on"
						  : E > 0.1          ? "used, not linearly encoded"
						  : isnan(I)         ? NULL
						  : I > 0.08         ? "undetermined"
											 : "neither";
	SN_TRY(SN_ADD(out, CURVES, sn_int(l), sn_text(roles[role]), sn_num(I), sn_num(I - 0.06), sn_num(fmin(1, I + 0.06)),
				  sn_num(0.05), sn_num(E), sn_num(E - w), sn_num(E + w), sn_num(0.06 + 0.01 * role), sn_flag(certain),
				  sn_int(120)));
	SN_TRY(SN_ADD(out, HEAT, sn_int(l), sn_text(roles[role]), sn_text("whole vector"), sn_num(E), sn_flag(certain),
				  sn_text(E - w > 0.1 ? "+" : "")));
	SN_TRY(SN_ADD(out, HEAT, sn_int(l), sn_text(roles[role]), sn_text("through the encoding"), sn_num(0.9 * E),
				  sn_flag(false), sn_none()));
	SN_TRY(SN_ADD(out, PAIRS, sn_int(l), sn_text(roles[role]), sn_text(verdict), sn_flag(certain)));
	return SN_ADD(out, VERDICTS, sn_int(l), sn_text(roles[role]), sn_text(verdict), sn_flag(certain));
}

static sn_status run(sn_ctx *ctx, const sn_input *input, const void *p, sn_result *out)
{
	static const char *const condition[] = { "adverb only", "prepositional attractor",
											 "object relative clause <b>&\"x\"", "long adverbial" };
	(void)ctx, (void)input, (void)p;
	for (int l = 0; l < LAYERS; l++)
		for (int role = 0; role < SN_COUNT(roles); role++) SN_TRY(add_cell(out, l, role));
	for (int i = 0; i < SN_COUNT(condition); i++) {
		for (int k = 0; k < 2 && (i || !k); k++) {
			double a = 0.98 - 0.04 * i - 0.12 * k;
			SN_TRY(SN_ADD(out, BEHAVIOUR, sn_text(condition[i]), sn_text(k ? "mismatch" : "match"), sn_num(a),
						  sn_num(a - 0.06), sn_num(fmin(1, a + 0.03)), sn_num(0.5)));
			SN_TRY(SN_ADD(out, CONTROLS, sn_text(condition[i]), sn_text(k ? "mismatch" : "match"), sn_num(a),
						  sn_num(a - 0.06), sn_none(), sn_num(0.5)));
		}
	}
	static const char *const word[] = { "Yesterday", " the", " astronaut",
										" near",     " the", " commissioners’ old laboratory",
										" probably" };
	for (int i = 0; i < SN_COUNT(word); i++) {
		char name[64];
		snprintf(name, sizeof name, "%d:%s", i, word[i]);
		for (int l = 0; l < 4; l++) {
			SN_TRY(SN_ADD(out, TOKENS, sn_text(name), sn_int(l), sn_num(i * l * 0.9)));
			SN_TRY(SN_ADD(out, SITES, sn_text(name), sn_int(l), sn_num(i * l * 0.9)));
		}
	}
	for (int i = 0; i <= 5; i++) SN_TRY(SN_ADD(out, RANKS, sn_num(i / 5.0), sn_num(pow(10, 5 - i))));
	SN_TRY(SN_ADD(out, EXAMPLES,
				  sn_text("Yesterday the keys to the cabinet probably | are / is <script>alert(1)</script>"),
				  sn_text("mis\nmatch\033[2J\xc2\x9b"), sn_num(2.31)));
	SN_TRY(SN_ADD(out, EXAMPLES, sn_text("Вчера сёстры брата уже | пришли / пришла"), sn_text("match"), sn_num(4.02)));
	SN_TRY(sn_result_say(out, "SmolLM2-135M-Instruct chooses by number (accuracy 0.93 [0.90, 0.95]), reads it at the "
							  "subject up to layer 16 and at the last token from layer 18 on."));
	SN_TRY(sn_result_say(out,
						 "The encoding is used: E_sub reaches 0.91 [0.86, 0.95] of the full interchange at layer 12."));
	SN_TRY(sn_result_say(
		out,
		"The attractor's own number moves the choice by 0.04 of D at most: below the threshold of 0.10 everywhere."));
	SN_TRY(sn_result_limit(out, "Training variation is not included in the intervals; use --effort thorough."));
	SN_TRY(sn_result_limit(
		out, "The model is an Instruct model: the figures hold for this artefact, not for its base model."));
	SN_TRY(sn_result_cite(
		out,
		"Finlayson et al. 2021, Causal Analysis of Syntactic Agreement Mechanisms in Neural Language Models, ACL."));
	SN_TRY(sn_result_cite(out, "Belrose et al. 2023, LEACE: Perfect linear concept erasure in closed form, NeurIPS."));
	SN_TRY(sn_result_set(out, "title", "English number agreement in SmolLM2-135M-Instruct"));
	SN_TRY(sn_result_set(out, "model", "SmolLM2-135M-Instruct.Q4_1.gguf"));
	SN_TRY(sn_result_set(out, "items", "960 probe prefixes, 120 pairs; 14 dropped"));
	SN_TRY(sn_result_set(out, "phenomenon", "en/number-agreement"));
	return sn_result_set(out, "command", "sonde localize --model M --phenomenon en/number-agreement");
}
static const sn_method method = {
	.family = "",
	.name = "localize",
	.brief = "where a model keeps a feature & whether it uses it",
	.doc = "Three kinds of evidence about the same items.\nA cell is a layer boundary and a role.",
	.cite = "Lasri et al. 2022, Probing for the Usage of Grammatical Number, ACL.",
	.param = params,
	.n_param = 1,
	.param_size = sizeof(char *),
	.table = tables,
	.n_table = SN_COUNT(tables),
	.run = run
};

static sn_result *make(void **state)
{
	sn_result *r;
	assert_ok(test_ctx(state), sn_result_open(&r, test_ctx(state), &method));
	assert_ok(test_ctx(state), sn_method_run(test_ctx(state), &method, &(sn_input){ .model = { NULL } }, NULL, r));
	return r;
}

/* Checks that tags nest, attributes are quoted and no bare < or & stands anywhere. Returns the offset of the first
 * fault, or -1. */
static long well_formed(const char *text)
{
	char stack[64][32];
	int depth = 0;
	for (const char *at = text; *at;) {
		if (*at == '&' && (strcspn(at, ";") > 6 || strcspn(at, "; <") != strcspn(at, ";"))) return at - text;
		if (*at != '<') {
			at++;
			continue;
		}
		bool close = at[1] == '/';
		const char *name = at + 1 + close, *end = name;
		size_t n = strcspn(name, " />\n");
		if (n == 0 || n > 31 || strchr(" <", *name)) return at - text;
		for (bool quoted = false; *end && (quoted || *end != '>'); end++) {
			if (*end == '"')
				quoted = !quoted;
			else if (*end == '<')
				return end - text;
		}
		if (!*end) return at - text;
		bool empty = end[-1] == '/' || strncmp(name, "meta", 4) == 0 || *name == '!';
		if (close && (depth == 0 || strlen(stack[--depth]) != n || memcmp(stack[depth], name, n) != 0))
			return at - text;
		if (!close && !empty) {
			if (depth == 64) return at - text;
			snprintf(stack[depth++], 32, "%.*s", (int)n, name);
			if (strcmp(stack[depth - 1], "style") == 0) end = strstr(end, "</style>") - 1; /* CSS is no markup */
		}
		at = end + 1;
	}
	return depth ? (long)strlen(text) : -1;
}

static void the_check_of_markup_finds_faults(void **state)
{
	(void)state;
	assert_int_equal(well_formed("<a b=\"<\"></a>"), 6);
	assert_int_equal(well_formed("<a><b></a></b>"), 6);
	assert_int_equal(well_formed("<a>&</a>"), 3);
	assert_true(well_formed("<a><b/>") >= 0);
	assert_int_equal(well_formed("<a><b/>&lt;</a>"), -1);
}

static void keep_for_looking(sn_ctx *ctx, const char *name, const sn_buf *buf)
{
	const char *folder = getenv("SN_REPORT_OUT");
	char path[512];
	if (!folder) return;
	snprintf(path, sizeof path, "%s/%s", folder, name);
	assert_ok(ctx, sn_write_file(ctx, path, buf->data, buf->size));
}

static void figures_are_well_formed_and_say_everything(void **state)
{
	sn_result *r = make(state);
	for (int t = 0; t < method.n_table; t++) {
		sn_buf svg = { .ctx = test_ctx(state) };
		char name[64];
		assert_ok(test_ctx(state), sn_report_svg(&svg, r, t));
		bool figure = tables[t].view != SN_VIEW_TABLE && tables[t].view != SN_VIEW_TEXT;
		assert_int_equal(svg.size > 0, figure);
		if (figure && well_formed(svg.data) >= 0)
			fail_msg("%s: bad markup at %.60s", tables[t].name, svg.data + well_formed(svg.data));
		if (figure) assert_null(strstr(svg.data, "nan"));
		snprintf(name, sizeof name, "%s.svg", tables[t].name);
		if (figure) keep_for_looking(test_ctx(state), name, &svg);
		if (t == VERDICTS) assert_non_null(strstr(svg.data, "encoded, not used from here on"));
		if (t == CURVES || t == HEAT) assert_non_null(strstr(svg.data, "attractor"));
		if (t == HEAT) assert_non_null(strstr(svg.data, "holds for any model"));
		if (t == HEAT) assert_non_null(strstr(svg.data, "through the encoding"));
		if (t == TOKENS || t == SITES) assert_non_null(strstr(svg.data, ">layer 3<"));
		if (t == BEHAVIOUR) assert_non_null(strstr(svg.data, "0.980 [0.920, 1.000]"));
		sn_buf_free(&svg);
	}
	sn_result_close(r);
}

static void assert_near(double x, double want, double tolerance)
{
	if (!(fabs(x - want) <= tolerance)) fail_msg("%g is not within %g of %g", x, tolerance, want);
}

static int count_of(const char *text, const char *what)
{
	int n = 0;
	for (; (text = strstr(text, what)); text++) n++;
	return n;
}

/* Numbers over orders of magnitude stand a tick apart for each factor of ten (the first is log10(2) from nothing). */
static void ranks_have_a_log_scale(void **state)
{
	sn_result *r = make(state);
	sn_buf svg = { .ctx = test_ctx(state) };
	assert_ok(test_ctx(state), sn_report_svg(&svg, r, RANKS));
	assert_non_null(strstr(svg.data, ">Rank, log scale<"));
	assert_non_null(strstr(svg.data, ">Depth (share)<"));
	double y[6], before = log10(2), whole = log10(100001) - log10(2);
	const char *at = svg.data;
	for (int i = 0; i <= 5; i++, at++) {
		char tick[16];
		snprintf(tick, sizeof tick, ">%d<", (int)lround(pow(10, i)));
		assert_non_null(strstr(svg.data, tick));
		assert_non_null(at = strstr(at, "<g transform=\"translate("));
		assert_int_equal(sscanf(at, "<g transform=\"translate(%*f %lf", &y[i]), 1);
	}
	for (int i = 0; i <= 5; i++)
		assert_near(y[i] - y[0], (y[5] - y[0]) * (1 - (log10(1 + pow(10, 5 - i)) - before) / whole), 0.11);
	sn_buf_free(&svg);
	assert_ok(test_ctx(state), sn_report_svg(&svg, r, CURVES));
	assert_null(strstr(svg.data, "log scale"));
	sn_buf_free(&svg);
	sn_result_close(r);
}

/* On the page each map is a document, so that paper can end between them; together they are the figure. */
static void maps_are_cut_for_paper(void **state)
{
	sn_result *r = make(state);
	sn_buf whole = { .ctx = test_ctx(state) }, cut = { .ctx = test_ctx(state) };
	assert_ok(test_ctx(state), sn_report_svg(&whole, r, HEAT));
	assert_ok(test_ctx(state), sn_report_figure(&cut, r, HEAT));
	assert_int_equal(count_of(whole.data, "<svg"), 1);
	assert_int_equal(count_of(cut.data, "<svg"), 2); /* E and E_sub */
	double first, from, height, most;
	assert_int_equal(sscanf(strstr(cut.data, "viewBox="), "viewBox=\"0 %lf 940 %lf", &first, &from), 2);
	const char *second = strstr(strstr(cut.data, "</svg>"), "viewBox=");
	assert_int_equal(sscanf(second, "viewBox=\"0 %lf 940 %lf", &first, &height), 2);
	assert_int_equal(sscanf(strstr(whole.data, "viewBox="), "viewBox=\"0 0 940 %lf", &most), 1);
	assert_near(first, from, 1);
	assert_near(first + height, most, 1);
	static const char *const part[] = { "<rect", "<text", "<g>" };
	for (int i = 0; i < SN_COUNT(part); i++)
		assert_int_equal(count_of(cut.data, part[i]), count_of(whole.data, part[i]));
	sn_buf_free(&whole);
	sn_buf_free(&cut);
	sn_result_close(r);
}

static void the_page_is_self_contained_and_escaped(void **state)
{
	sn_result *r = make(state);
	sn_buf page = { .ctx = test_ctx(state) }, again = { .ctx = test_ctx(state) };
	assert_ok(test_ctx(state), sn_report_html(&page, r));
	assert_ok(test_ctx(state), sn_report_html(&again, r));
	assert_string_equal(page.data, again.data);
	if (well_formed(page.data) >= 0) fail_msg("bad markup at %.80s", page.data + well_formed(page.data));
	assert_null(strstr(page.data, "<script"));
	assert_null(strstr(page.data, "src="));
	assert_null(strstr(page.data, "url(h"));
	for (const char *link = page.data; (link = strstr(link, "href=\"")); link++) assert_int_equal(link[6], '#');
	static const char *const said[] = { "&lt;script&gt;",
										"English number agreement",
										"Limitations",
										"Belrose",
										"Lasri",
										"effort",
										"sonde version",
										"Verdicts at other thresholds",
										"SmolLM2-135M-Instruct.Q4_1.gguf",
										"Content-Security-Policy",
										"сёстры" };
	for (int i = 0; i < SN_COUNT(said); i++)
		if (!strstr(page.data, said[i])) fail_msg("the page lacks %s", said[i]);
	keep_for_looking(test_ctx(state), "report.html", &page);
	sn_buf_free(&page);
	sn_buf_free(&again);
	sn_result_close(r);
}

static void the_terminal_shows_grids_and_bounds(void **state)
{
	sn_result *r = make(state);
	sn_buf text = { .ctx = test_ctx(state) };
	assert_ok(test_ctx(state), sn_report_text(&text, r, 60, false));
	keep_for_looking(test_ctx(state), "terminal.txt", &text);
	static const char *const said[] = { "SmolLM2-135M-Instruct chooses by number",
										"Layer boundary  subject  attractor",
										"(1.000)",
										"0.980 [0.920, 1.000]",
										"- Training variation",
										"(…): holds for any model",
										"Layer boundary  0  1  2  3",
										"#: holds for any model",
										"A: neither",
										"?: undetermined",
										"mis↵match�[2J�",
										"248 rows (in the report" };
	for (int i = 0; i < SN_COUNT(said); i++)
		if (!strstr(text.data, said[i])) fail_msg("the terminal lacks %s", said[i]);
	assert_null(strstr(text.data, "other thresholds")); /* the appendix stays out */
	sn_buf_free(&text);
	sn_result_close(r);
}

static void csv_has_one_width(void **state)
{
	sn_result *r = make(state);
	sn_buf csv = { .ctx = test_ctx(state) };
	sn_report_csv(&csv, r);
	assert_memory_equal(csv.data, "table,layer,role,I,I_low,I_high,surface,E,", 42);
	int fields = 1, width = 0;
	bool quoted = false;
	for (const char *c = csv.data; *c; c++) {
		if (*c == '"') quoted = !quoted;
		if (*c == ',' && !quoted) fields++;
		if (*c != '\n' || quoted) continue;
		if (!width) width = fields;
		assert_int_equal(fields, width);
		fields = 1;
	}
	assert_false(quoted);
	sn_buf_free(&csv);
	sn_result_close(r);
}

static void text_is_legible_on_every_colour(void **state)
{
	(void)state;
	assert_string_equal(sn_color_text((sn_rgb){ 255, 255, 255 }), "#000000");
	assert_string_equal(sn_color_text((sn_rgb){ 0, 0, 80 }), "#ffffff");
	double last = 2;
	for (int i = 0; i <= 100; i++) { /* the sequential scale darkens all the way: readable in grey print */
		sn_rgb c = sn_color_sequential(i / 100.0);
		double grey = (0.2126 * c.r + 0.7152 * c.g + 0.0722 * c.b) / 255;
		assert_true(grey < last + 1e-9);
		last = grey;
	}
}

static void ticks_are_round_and_cover(void **state)
{
	(void)state;
	static const double range[][2] = { { 0, 1 },     { -0.13, 0.87 }, { 3, 3 },
									   { 0, 12345 }, { -1e-7, 2e-7 }, { 0.999, 1.001 } };
	for (int i = 0; i < SN_COUNT(range); i++) {
		double min = range[i][0], max = range[i][1], tick[SN_MOST_TICKS];
		int n = sn_ticks(&min, &max, 7, tick);
		assert_true(n >= 2 && n <= 7);
		assert_true(min <= range[i][0] + 1e-12 && max >= range[i][1] - 1e-12);
		assert_true(fabs(tick[0] - min) < 1e-9 && fabs(tick[n - 1] - max) <= 1e-9 * fmax(1, fabs(max)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_check_of_markup_finds_faults),
		cmocka_unit_test(figures_are_well_formed_and_say_everything),
		cmocka_unit_test(ranks_have_a_log_scale),
		cmocka_unit_test(maps_are_cut_for_paper),
		cmocka_unit_test(the_page_is_self_contained_and_escaped),
		cmocka_unit_test(the_terminal_shows_grids_and_bounds),
		cmocka_unit_test(csv_has_one_width),
		cmocka_unit_test(text_is_legible_on_every_colour),
		cmocka_unit_test(ticks_are_round_and_cover),
	};
	return cmocka_run_group_tests(tests, test_open, test_close);
}
