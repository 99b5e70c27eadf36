/* The families of llama.cpp (llama-vocab.cpp), with the expressions of the tokenizers that they stand for: where
 * llama.cpp has to paraphrase one, the original stands here. */
#include "text/gguf_pre.h"

#include "text/classes.h"

#include <string.h>

/* Parts that many expressions share. */
#define NUMBER "\\p{N}"
#define CONTRACTION "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define SPACES "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define WORD "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
#define SYMBOLS " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)"
#define LLAMA3 CONTRACTION "|" WORD "|\\p{N}{1,3}|" SYMBOLS "|" SPACES
#define QWEN2 CONTRACTION "|" WORD "|\\p{N}|" SYMBOLS "|" SPACES
/* words that begin with capitals, if at all; then one more kind of ending */
#define UPPER "\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}"
#define LOWER "\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}"
#define CASED(end)                                                                                                     \
	"[^\\r\\n\\p{L}\\p{N}]?[" UPPER "]*[" LOWER "]+" end "|[^\\r\\n\\p{L}\\p{N}]?[" UPPER "]+[" LOWER "]*" end
#define GPT4O(digits) CASED(CONTRACTION "?") "|" digits "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" SPACES
#define CJK "[\\x{4E00}-\\x{9FA5}\\x{3040}-\\x{309F}\\x{30A0}-\\x{30FF}]+"
#define ASCII_SYMBOL "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~]"
#define DEEPSEEK_WORD ASCII_SYMBOL "[A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
#define DEEPSEEK3 DEEPSEEK_WORD "| ?[\\p{P}\\p{S}]+[\\r\\n]*|" SPACES
#define DEEPSEEK_CJK "[\\x{4E00}-\\x{9FA5}\\x{800}-\\x{4E00}\\x{AC00}-\\x{D7FF}]+"
#define DEEPSEEK_SYMBOLS "[!-/:-~\\x{FF01}-\\x{FF0F}\\x{FF1A}-\\x{FF5E}\\x{2018}-\\x{201F}\\x{3000}-\\x{3002}]+"
/* letters with case, as DeepSeek's tokenizer lists them */
#define CASED_LETTERS                                                                                                  \
	"A-Za-z\\x{B5}\\x{C0}-\\x{D6}\\x{D8}-\\x{F6}\\x{F8}-\\x{1BA}\\x{1BC}-\\x{1BF}\\x{1C4}-\\x{293}"                    \
	"\\x{295}-\\x{2AF}\\x{370}-\\x{373}\\x{376}\\x{377}\\x{37B}-\\x{37D}\\x{37F}\\x{386}\\x{388}-\\x{38A}"             \
	"\\x{38C}\\x{38E}-\\x{3A1}\\x{3A3}-\\x{3F5}\\x{3F7}-\\x{481}\\x{48A}-\\x{52F}\\x{531}-\\x{556}"                    \
	"\\x{10A0}-\\x{10C5}\\x{13A0}-\\x{13F5}\\x{13F8}-\\x{13FD}\\x{1C90}-\\x{1CBA}\\x{1CBD}-\\x{1CBF}"                  \
	"\\x{1D00}-\\x{1D2B}\\x{1D6B}-\\x{1D77}\\x{1D79}-\\x{1D9A}\\x{1E00}-\\x{1F15}\\x{1F18}-\\x{1F1D}"                  \
	"\\x{1F20}-\\x{1F45}\\x{1F48}-\\x{1F4D}\\x{1F50}-\\x{1F57}\\x{1F59}\\x{1F5B}\\x{1F5D}\\x{1F5F}-\\x{1F7D}"          \
	"\\x{1F80}-\\x{1FB4}\\x{1FB6}-\\x{1FBC}\\x{1FBE}\\x{1FC2}-\\x{1FC4}\\x{1FC6}-\\x{1FCC}\\x{1FD0}-\\x{1FD3}"         \
	"\\x{1FD6}-\\x{1FDB}\\x{1FE0}-\\x{1FEC}\\x{1FF2}-\\x{1FF4}\\x{1FF6}-\\x{1FFC}\\x{2102}\\x{2107}"                   \
	"\\x{210A}-\\x{2113}\\x{2115}\\x{2119}-\\x{211D}\\x{2124}\\x{2126}\\x{2128}\\x{212A}-\\x{212D}"                    \
	"\\x{212F}-\\x{2134}\\x{2139}\\x{213C}-\\x{213F}\\x{2145}-\\x{2149}\\x{214E}\\x{2183}\\x{2184}"                    \
	"\\x{2C00}-\\x{2C7B}\\x{2C7E}-\\x{2CE4}\\x{2CEB}-\\x{2CEE}\\x{2CF2}\\x{2CF3}\\x{A640}-\\x{A66D}"                   \
	"\\x{A680}-\\x{A69B}\\x{A722}-\\x{A76F}\\x{A771}-\\x{A787}\\x{A78B}-\\x{A78E}\\x{AB70}-\\x{ABBF}"                  \
	"\\x{FB00}-\\x{FB06}\\x{FB13}-\\x{FB17}\\x{FF21}-\\x{FF3A}\\x{FF41}-\\x{FF5A}\\x{10400}-\\x{1044F}"                \
	"\\x{104B0}-\\x{104D3}\\x{104D8}-\\x{104FB}\\x{10C80}-\\x{10CB2}\\x{10CC0}-\\x{10CF2}"                             \
	"\\x{118A0}-\\x{118DF}\\x{1E900}-\\x{1E943}"
/* anything but white space, brackets, a bar, and . , ! ? ... in several scripts: one class, as BLOOM's file has it */
#define BLOOM " ?[^(\\s|.,!?\\x{2026}\\x{3002}\\x{FF0C}\\x{3001}\\x{964}\\x{6D4}\\x{60C})]+"

enum { MOST_STAGES = 6 };

typedef struct family {
	const char *names; /* with spaces between */
	bool ignore_merges;
	const char *stage[MOST_STAGES]; /* expressions; each cuts what the one before has left */
} family;

static const family families[] = {
	{ "gpt-2 gpt2 phi-2 mpt olmo jais trillion granite-docling exaone4 modern-bert jina-es jina-de jina-v2-es "
	  "jina-v2-de "
	  "jina-v1-en jina-v2-code roberta-bpe gigachat a.x-4.0 mellum",
	  false,
	  { GPT2 } },
	{ "default", false, { "[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]" } },
	{ "smollm starcoder refact command-r codeshell exaone minerva-7b mellum2", false, { NUMBER, GPT2 } },
	{ "falcon", false, { "[\\p{P}\\$\\+<=>\\^~\\|`]+", GPT2, "[0-9][0-9][0-9]" } },
	{ "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano", true, { LLAMA3 } },
	{ "dbrx smaug-bpe chatglm-bpe glm4", false, { LLAMA3 } },
	{ "qwen2 stablelm2 hunyuan megrez deepseek-r1-qwen kormo f2llmv2 solar-open grok-2", false, { QWEN2 } },
	{ "qwen35",
	  false,
	  { CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" SPACES } },
	{ "tekken", true, { CASED("") "|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" SPACES } },
	{ "gpt-4o llama4 kanana2 talkie minimax-m2", false, { GPT4O("\\p{N}{1,3}") } },
	{ "granite-embed-multi-97m", true, { GPT4O("\\p{N}{1,3}") } },
	{ "tiny_aya cohere2moe", false, { "\\d{1,3}(?=(?:\\d{3})*\\b)", GPT4O("\\p{N}{1,3}") } },
	{ "deepseek-llm",
	  false,
	  { "[\\r\\n]", "\\s?[" CASED_LETTERS "]+", "\\s?" DEEPSEEK_SYMBOLS, "\\s+\\z", DEEPSEEK_CJK, "\\p{N}+" } },
	{ "deepseek-coder", false, { "[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", DEEPSEEK_CJK, NUMBER } },
	{ "deepseek-v3 hunyuan-dense joyai-llm hy_v4", false, { "\\p{N}{1,3}", CJK, DEEPSEEK3 } },
	{ "poro-chat bloom gpt3-finnish", false, { BLOOM } },
	{ "viking", false, { BLOOM, NUMBER } },
	{ "superbpe", false, { "\\p{N}+", "(?=(\\d{3})+(?!\\d))" } },
	{ "bailingmoe bailingmoe2 llada-moe",
	  false,
	  { "'(?i:[sdmt]|ll|ve|re)|" WORD "|\\p{N}|" SYMBOLS "|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+" } },
	{ "seed-coder", false, { CONTRACTION "|" WORD "|\\p{N}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|" SPACES } },
	{ "ufakzeka", false, { WORD "|\\p{N}|" SYMBOLS "|" SPACES } },
	{ "laguna", false, { "[^\\n]+|[\\n]+", QWEN2 } },
	{ "exaone-moe",
	  false,
	  { CONTRACTION
		"|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|"
		"\\s*[\\r\\n]|\\s+(?!\\S)|\\s+" } },
	{ "youtu",
	  true,
	  { "[\\x{AC00}-\\x{D7A3}\\x{3131}-\\x{318E}]+|[\\x{FF01}\\x{2026}\\x{201C}\\x{201D}\\x{2018}\\x{2019}\\x{2014}\\x{"
		"FF1A}\\x{FF1B}\\x{FF0C}"
		"\\x{3001}-\\x{303F}\\x{FE30}-\\x{FE4F}]+|[\\x{3105}-\\x{312F}]+|" CJK,
		GPT4O(NUMBER) } },
	{ "jais-2",
	  false,
	  { CONTRACTION "|" WORD "|\\p{N}{1,3}|" SYMBOLS
					"|\\s*[\\r\\n]+|\\s{512}(?!\\S)|\\s{256}(?!\\S)|\\s{128}(?!\\S)|\\s{64}(?!\\S)|\\s{32}(?!\\S)|"
					"\\s{16}(?!\\S)|\\s{8}(?!\\S)|\\s{4}(?!\\S)|\\s{1,2}(?!\\S)|\\s{1}" } },
	{ "minicpm5", true, { "\\p{N}{1,3}", CONTRACTION "|" WORD "|\\p{N}+|" SYMBOLS "|" SPACES } },
};

/* Whether a list with spaces between its members has one of this name. */
static bool lists(const char *list, const char *name)
{
	size_t size = strlen(name);
	for (const char *at = list; size && (at = strstr(at, name)); at += size) {
		bool begins = at == list || at[-1] == ' ', ends = at[size] == ' ' || at[size] == '\0';
		if (begins && ends && !strchr(name, ' ')) return true;
	}
	return false;
}

static sn_status unknown(const sn_tokenizer *t, const char *name)
{
	char known[1024] = "";
	for (int i = 0, used = 0; i < SN_COUNT(families); i++)
		used += sn_format(known + used, sizeof known - (size_t)used, "%s%s", i ? " " : "", families[i].names);
	return sn_fail(t->ctx, SN_EUNKNOWN, "%s: tokenizer.ggml.pre is '%.80s'; known: %s", t->source, name, known);
}

sn_status sn_tokenizer_set_pre(sn_tokenizer *t, const char *name)
{
	const family *f = NULL;
	for (int i = 0; i < SN_COUNT(families) && !f; i++)
		if (lists(families[i].names, name ? name : "default")) f = &families[i];
	if (!f) return unknown(t, name);
	t->bpe.ignore_merges = f->ignore_merges;
	for (int i = 0; i < MOST_STAGES && f->stage[i]; i++) {
		sn_stage split = { .kind = SN_STAGE_SPLIT, .behavior = SN_ISOLATED };
		if (strcmp(f->stage[i], NUMBER) == 0) { /* the same without an expression */
			split.kind = SN_STAGE_SPLIT_CLASS;
			split.in_class = sn_is_number;
			SN_TRY(sn_tokenizer_add_stage(t, split));
			continue;
		}
		SN_TRY(sn_regex_open(&split.regex, t->ctx, f->stage[i], strlen(f->stage[i]), false, t->source));
		SN_TRY(sn_tokenizer_add_stage(t, split));
	}
	return sn_tokenizer_add_stage(t, (sn_stage){ .kind = SN_STAGE_BYTE_LEVEL });
}
