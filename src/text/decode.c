/* Decoders, by the rules of the `tokenizers` package (0.23). */
#include "text/decode.h"

#include "text/byte_level.h"
#include "text/repair.h"

#include <string.h>

/* ---- lists of texts ---- */

void sn_texts_free(sn_texts *texts)
{
	sn_buf_free(&texts->bytes);
	sn_buf_free(&texts->end);
}

void sn_texts_end(sn_texts *texts) { sn_buf_add(&texts->end, &texts->bytes.size, sizeof(size_t)); }
size_t sn_texts_count(const sn_texts *texts) { return texts->end.size / sizeof(size_t); }

sn_slice sn_texts_at(const sn_texts *texts, size_t i)
{
	size_t from = 0, to;
	if (i > 0) memcpy(&from, texts->end.data + (i - 1) * sizeof from, sizeof from);
	memcpy(&to, texts->end.data + i * sizeof to, sizeof to);
	return (sn_slice){ texts->bytes.data ? texts->bytes.data + from : "", to - from };
}

static void add(sn_texts *out, sn_slice text)
{
	if (text.size) sn_buf_add(&out->bytes, text.data, text.size);
	sn_texts_end(out);
}

/* Returns where a text stands in another from byte `at` on; the size if it does not. */
static size_t find(sn_slice in, size_t at, sn_slice what)
{
	for (; what.size && at + what.size <= in.size; at++)
		if (memcmp(in.data + at, what.data, what.size) == 0) return at;
	return in.size;
}

/* Appends a text with every occurrence replaced. */
static void add_replaced(sn_buf *out, sn_slice in, sn_slice what, sn_slice by)
{
	for (size_t at = 0, hit; at < in.size; at = hit + what.size) {
		hit = find(in, at, what);
		sn_buf_add(out, in.data + at, hit - at);
		if (hit == in.size) return;
		if (by.size) sn_buf_add(out, by.data, by.size);
	}
}

static sn_slice slice_of(const sn_buf *buf) { return (sn_slice){ buf->data ? buf->data : "", buf->size }; }

/* ---- decoders ---- */

typedef struct job {
	sn_ctx *ctx;
	sn_matcher matcher;
	const sn_decoder *decoder;
	const sn_texts *in;
	size_t n, limit; /* texts; bytes that may come out */
	sn_texts out;
} job;

/* Rules that insert texts, one after the other, could make any text any length. */
enum { LONGEST = 64, ALWAYS = 64 * 1024 };

static sn_status decode_byte_level(job *j)
{
	sn_byte_alphabet alphabet;
	sn_buf bytes = { .ctx = j->ctx };
	sn_byte_alphabet_init(&alphabet);
	for (size_t i = 0; i < j->n && !bytes.failed; i++) {
		sn_slice text = sn_texts_at(j->in, i);
		size_t from = bytes.size;
		if (text.size) sn_buf_add(&bytes, text.data, text.size);
		int64_t size = bytes.failed ? -1 : sn_byte_decode(&alphabet, text.data, text.size, bytes.data + from);
		if (size >= 0)
			bytes.size = from + (size_t)size;
		else if (!bytes.failed && text.size)
			memcpy(bytes.data + from, text.data, text.size); /* what is not in the alphabet stands for itself */
	}
	if (bytes.size && !bytes.failed) sn_append_valid(&j->out.bytes, bytes.data, bytes.size);
	sn_texts_end(&j->out);
	sn_status status = bytes.failed ? SN_ENOMEM : SN_OK;
	sn_buf_free(&bytes);
	return status;
}

/* Appends a text without the spaces that BERT's tokenization of English leaves. */
static sn_status add_clean(job *j, sn_slice text)
{
	static const char *const rule[][2] = {
		{ " .", "." },   { " ?", "?" },     { " !", "!" },     { " ,", "," },
		{ " ' ", "'" },  { " n't", "n't" }, { " 'm", "'m" },   { " do not", " don't" },
		{ " 's", "'s" }, { " 've", "'ve" }, { " 're", "'re" },
	};
	sn_buf buf[2] = { { .ctx = j->ctx }, { .ctx = j->ctx } };
	int now = 0;
	sn_buf_add(&buf[0], text.data, text.size);
	for (int i = 0; i < SN_COUNT(rule); i++, now = !now) {
		sn_slice what = { rule[i][0], strlen(rule[i][0]) }, by = { rule[i][1], strlen(rule[i][1]) };
		buf[!now].size = 0;
		add_replaced(&buf[!now], slice_of(&buf[now]), what, by);
	}
	if (j->decoder->kind == SN_DECODE_CTC)
		add_replaced(&j->out.bytes, slice_of(&buf[now]), j->decoder->by, (sn_slice){ " ", 1 });
	else if (buf[now].size)
		sn_buf_add(&j->out.bytes, buf[now].data, buf[now].size);
	sn_status status = buf[0].failed || buf[1].failed ? SN_ENOMEM : SN_OK;
	sn_buf_free(&buf[0]);
	sn_buf_free(&buf[1]);
	return status;
}

static bool begins_with(sn_slice text, sn_slice with)
{
	return text.size >= with.size && (with.size == 0 || memcmp(text.data, with.data, with.size) == 0);
}

static sn_status decode_wordpiece(job *j)
{
	sn_buf word = { .ctx = j->ctx };
	sn_status status = SN_OK;
	for (size_t i = 0; i < j->n && status == SN_OK && !word.failed; i++) {
		sn_slice text = sn_texts_at(j->in, i);
		bool continues = i > 0 && begins_with(text, j->decoder->text);
		size_t skip = continues ? j->decoder->text.size : 0;
		word.size = 0;
		if (i > 0 && !continues) sn_buf_add(&word, " ", 1);
		sn_buf_add(&word, text.data + skip, text.size - skip);
		if (word.failed) break;
		if (j->decoder->cleanup)
			status = add_clean(j, slice_of(&word));
		else
			sn_buf_add(&j->out.bytes, word.data, word.size);
		sn_texts_end(&j->out);
	}
	if (word.failed) status = SN_ENOMEM;
	sn_buf_free(&word);
	return status;
}

static sn_status decode_metaspace(job *j)
{
	for (size_t i = 0; i < j->n; i++) {
		sn_slice by = { " ", i > 0 || j->decoder->keep_first };
		add_replaced(&j->out.bytes, sn_texts_at(j->in, i), j->decoder->text, by);
		sn_texts_end(&j->out);
	}
	return SN_OK;
}

static sn_status decode_bpe(job *j)
{
	for (size_t i = 0; i < j->n; i++) {
		add_replaced(&j->out.bytes, sn_texts_at(j->in, i), j->decoder->text, (sn_slice){ " ", i + 1 < j->n });
		sn_texts_end(&j->out);
	}
	return SN_OK;
}

/* Appends the bytes of a run: as one text, or as so many replacement characters. */
static void end_run(job *j, sn_buf *run)
{
	if (run->size == 0) return;
	if (sn_utf8_check(run->data, run->size) < 0)
		add(&j->out, slice_of(run));
	else
		for (size_t i = 0; i < run->size; i++) add(&j->out, (sn_slice){ "\xef\xbf\xbd", 3 });
	run->size = 0;
}

static sn_status decode_byte_fallback(job *j)
{
	sn_buf run = { .ctx = j->ctx };
	for (size_t i = 0; i < j->n && !run.failed; i++) {
		sn_slice text = sn_texts_at(j->in, i);
		int byte = sn_byte_token(text);
		if (byte >= 0) {
			sn_buf_add(&run, &(char){ (char)byte }, 1);
			continue;
		}
		end_run(j, &run);
		add(&j->out, text);
	}
	if (!run.failed) end_run(j, &run);
	sn_status status = run.failed ? SN_ENOMEM : SN_OK;
	sn_buf_free(&run);
	return status;
}

static sn_status decode_fuse(job *j)
{
	/* tokens of SentencePiece may be single bytes of characters */
	if (j->in->bytes.size) sn_append_valid(&j->out.bytes, j->in->bytes.data, j->in->bytes.size);
	sn_texts_end(&j->out);
	return SN_OK;
}

static sn_status decode_strip(job *j)
{
	sn_slice what = j->decoder->text;
	for (size_t i = 0; i < j->n; i++) {
		sn_slice text = sn_texts_at(j->in, i);
		for (int64_t k = 0; k < j->decoder->start && text.size && begins_with(text, what); k++) {
			text.data += what.size;
			text.size -= what.size;
		}
		for (int64_t k = 0; k < j->decoder->stop && text.size >= what.size; k++) {
			if (memcmp(text.data + text.size - what.size, what.data, what.size) != 0) break;
			text.size -= what.size;
		}
		add(&j->out, text);
	}
	return SN_OK;
}

static sn_status decode_replace(job *j)
{
	for (size_t i = 0; i < j->n; i++) {
		sn_slice text = sn_texts_at(j->in, i), by = j->decoder->by;
		sn_walk walk = { .text = text.data, .size = text.size };
		size_t done = 0;
		for (bool found;; done = walk.match[1]) {
			SN_TRY(sn_regex_next(j->decoder->regex, j->ctx, &j->matcher, &walk, &found));
			if (!found) break;
			sn_buf_add(&j->out.bytes, text.data + done, walk.match[0] - done);
			if (by.size) sn_buf_add(&j->out.bytes, by.data, by.size);
			if (j->out.bytes.size > j->limit)
				return sn_fail(j->ctx, SN_EPARSE, "the tokenizer's decoders make a text more than %d times as long",
							   LONGEST);
		}
		if (done < text.size) sn_buf_add(&j->out.bytes, text.data + done, text.size - done);
		sn_texts_end(&j->out);
	}
	return SN_OK;
}

static bool equal(sn_slice a, sn_slice b) { return a.size == b.size && begins_with(a, b); }

static sn_status decode_ctc(job *j)
{
	sn_buf kept = { .ctx = j->ctx };
	sn_status status = SN_OK;
	for (size_t i = 0; i < j->n && status == SN_OK; i++) {
		sn_slice text = sn_texts_at(j->in, i);
		if (i > 0 && equal(text, sn_texts_at(j->in, i - 1))) continue;
		size_t before = j->out.bytes.size;
		kept.size = 0;
		add_replaced(&kept, text, j->decoder->text, (sn_slice){ 0 });
		if (j->decoder->cleanup && kept.size)
			status = add_clean(j, slice_of(&kept));
		else if (kept.size)
			sn_buf_add(&j->out.bytes, kept.data, kept.size);
		if (j->out.bytes.size > before) sn_texts_end(&j->out);
	}
	if (kept.failed) status = SN_ENOMEM;
	sn_buf_free(&kept);
	return status;
}

sn_status sn_decode(sn_ctx *ctx, const sn_decoder *decoder, int n, sn_texts *texts)
{
	static sn_status (*const run[SN_DECODER_KINDS])(job *) = {
		[SN_DECODE_BYTE_LEVEL] = decode_byte_level,
		[SN_DECODE_WORDPIECE] = decode_wordpiece,
		[SN_DECODE_METASPACE] = decode_metaspace,
		[SN_DECODE_BPE] = decode_bpe,
		[SN_DECODE_BYTE_FALLBACK] = decode_byte_fallback,
		[SN_DECODE_FUSE] = decode_fuse,
		[SN_DECODE_STRIP] = decode_strip,
		[SN_DECODE_REPLACE] = decode_replace,
		[SN_DECODE_CTC] = decode_ctc,
	};
	size_t limit = ALWAYS + LONGEST * texts->bytes.size;
	for (int i = 0; i < n; i++) {
		job j = { .ctx = ctx, .decoder = &decoder[i], .in = texts, .n = sn_texts_count(texts), .limit = limit };
		j.out.bytes.ctx = j.out.end.ctx = ctx;
		sn_status status = run[decoder[i].kind](&j);
		if (j.out.bytes.failed || j.out.end.failed) status = SN_ENOMEM;
		sn_matcher_free(&j.matcher);
		sn_texts_free(texts);
		*texts = j.out;
		if (status != SN_OK) return status;
	}
	return SN_OK;
}
