/* "model": {"type": "Unigram"} of tokenizer.json: a vocabulary with scores. */
#include "text/tokenizer_json.h"

#include <math.h>

#include "text/byte_level.h"

/* The worst score, less this, is that of an unknown character. */
static const double unk_penalty = 10;

/* Returns x as the `tokenizers` package reads it from its shortest decimal form: all digits as an integer, divided by a
 * power of ten, both rounded. The last bit decides between ways of equal sums ("!" + "!!!" or the other way round). */
static double as_read(double x)
{
	long double power = 10, v = fabsl((long double)x);
	int decimals = 1;
	if (v == 0 || v >= 1e16L || v < 1e-4L) return x;
	for (; v * power < 1e16L; power *= 10) decimals++; /* 17 digits; powers up to 10^27 are exact */
	long long digits = llroundl(v * power);
	while (decimals > 0 && (double)((long double)((digits + 5) / 10) / (power / 10)) == fabs(x)) {
		digits = (digits + 5) / 10;
		power /= 10;
		decimals--;
	}
	return copysign((double)digits / (double)power, x);
}

static sn_status read_scores(sn_tokenizer *t, const sn_json *doc, const json_t *vocab, double *score)
{
	json_t *pair;
	size_t i;
	double least = INFINITY;
	json_array_foreach(vocab, i, pair) {
		score[i] = as_read(json_number_value(json_array_get(pair, 1)));
		if (!isfinite(score[i])) return sn_json_fail(doc, pair, NULL, SN_EPARSE, "a score that is not finite");
		least = SN_MIN(least, score[i]);
	}
	t->unigram.unk_score = least - unk_penalty;
	return SN_OK;
}

/* Every token of the model's vocabulary may be used; added tokens that it lacks may not. */
static sn_status build_trie(sn_tokenizer *t, const sn_json *doc, const json_t *model, int32_t n)
{
	int32_t used = 0;
	sn_trie_key *key = sn_alloc_raw(t->ctx, sn_size3((size_t)n, sizeof *key, 1));
	if (!key) return SN_ENOMEM;
	for (int32_t i = 0; i < n; i++) {
		sn_slice text = sn_vocab_token(&t->vocab, i);
		if (text.size) key[used++] = (sn_trie_key){ text, i };
	}
	sn_status status = used ? sn_trie_build(&t->unigram.trie, t->arena, key, used)
							: sn_json_fail(doc, model, "vocab", SN_EPARSE, "no tokens");
	sn_free(t->ctx, key);
	return status;
}

static void find_bytes(sn_tokenizer *t)
{
	for (int byte = 0; byte < 256; byte++) {
		char name[8];
		sn_byte_token_name((unsigned char)byte, name);
		t->unigram.fallback.byte_id[byte] = sn_vocab_find(&t->vocab, name, SN_BYTE_TOKEN_SIZE);
	}
}

sn_status sn_read_json_unigram(sn_tokenizer *t, const sn_json *doc, const json_t *model)
{
	json_t *vocab;
	double *score;
	int64_t unk;
	SN_TRY(sn_json_array(doc, model, "vocab", &vocab));
	SN_TRY(sn_read_json_vocab(t, doc, model));
	SN_TRY(sn_json_i64_or(doc, model, "unk_id", -1, &unk));
	if (unk < -1 || unk >= (int64_t)json_array_size(vocab))
		return sn_json_fail(doc, model, "unk_id", SN_EPARSE, "%lld; the vocabulary has ids from 0 to %lld",
							(long long)unk, (long long)json_array_size(vocab) - 1);
	SN_TRY(sn_json_bool_or(doc, model, "byte_fallback", false, &t->unigram.fallback.on));
	SN_NEW(score, t->arena, double, json_array_size(vocab));
	SN_TRY(read_scores(t, doc, vocab, score));
	SN_TRY(build_trie(t, doc, model, (int32_t)json_array_size(vocab)));
	find_bytes(t);
	t->unigram.vocab = &t->vocab;
	t->unigram.score = score;
	t->unigram.unk = (int32_t)unk;
	t->unigram.fuse_unk = true;
	t->encode = sn_encode_unigram;
	return SN_OK;
}
