/* Reading ModelProto: pieces = 1, trainer_spec = 2, normalizer_spec = 3. */
#include "text/spm_file.h"

/* ---- the wire format ---- */

/* A message: bytes [at, end) of the file. */
typedef struct message {
	sn_ctx *ctx;
	const char *source;
	const char *file;
	size_t at, end;
} message;

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 }; /* the low three bits of a tag */

typedef struct field {
	uint64_t number;
	int wire;
	uint64_t value; /* of a number */
	sn_slice bytes;
	size_t at; /* where bytes, or the whole field, lie in the file */
} field;

static sn_status damaged(const message *m, size_t at, const char *what)
{
	return sn_fail(m->ctx, SN_EPARSE, "%s: byte %zu: %s: not a SentencePiece model, or damaged", m->source, at, what);
}

/* Seven bits a byte, low ones first; bit 7 says that more follow. */
static sn_status read_varint(message *m, uint64_t *out)
{
	size_t from = m->at;
	*out = 0;
	for (int shift = 0; shift < 64; shift += 7) {
		if (m->at == m->end) return damaged(m, from, "a number is cut off");
		uint64_t byte = (unsigned char)m->file[m->at++];
		*out |= (byte & 0x7f) << shift;
		if (!(byte & 0x80)) return SN_OK;
	}
	return damaged(m, from, "a number of more than ten bytes");
}

static sn_status read_bytes(message *m, size_t size, field *f)
{
	if (size > m->end - m->at) return damaged(m, m->at, "a field is longer than what holds it");
	f->bytes = (sn_slice){ m->file + m->at, size };
	f->at = m->at;
	m->at += size;
	return SN_OK;
}

static sn_status read_value(message *m, size_t from, field *f)
{
	uint64_t size;
	switch (f->wire) {
	case VARINT:
		return read_varint(m, &f->value);
	case BYTES:
		SN_TRY(read_varint(m, &size));
		if (size > m->end - m->at) return damaged(m, from, "a field is longer than what holds it");
		return read_bytes(m, (size_t)size, f);
	case FIXED64:
		return read_bytes(m, 8, f);
	case FIXED32:
		SN_TRY(read_bytes(m, 4, f));
		f->value = sn_load_u32(f->bytes.data);
		return SN_OK;
	default:
		return damaged(m, from, "a field of a kind that no model has");
	}
}

/* Reads the next field. */
static sn_status next_field(message *m, field *f)
{
	uint64_t tag;
	size_t from = m->at;
	SN_TRY(read_varint(m, &tag));
	*f = (field){ .number = tag >> 3, .wire = (int)(tag & 7), .at = from };
	if (f->number == 0) return damaged(m, from, "a field without a number");
	return read_value(m, from, f);
}

/* ---- messages ---- */

typedef sn_status visit_fn(void *payload, const message *m, const field *f);

/* Hands every field of a message to a function. */
static sn_status each_field(message m, visit_fn *visit, void *payload)
{
	while (m.at < m.end) {
		field f;
		SN_TRY(next_field(&m, &f));
		SN_TRY(visit(payload, &m, &f));
	}
	return SN_OK;
}

static message inside(const message *m, const field *f)
{
	return (message){ m->ctx, m->source, m->file, f->at, f->at + f->bytes.size };
}

static sn_status need(const message *m, const field *f, int wire)
{
	return f->wire == wire ? SN_OK : damaged(m, f->at, "a field is of another kind than it should be");
}

/* A field that is a number, and where it goes. */
typedef struct numbered {
	uint64_t field;
	int64_t *out;
} numbered;

static sn_status read_number(const message *m, const field *f, const numbered *list, int n)
{
	for (int i = 0; i < n; i++) {
		if (list[i].field != f->number) continue;
		SN_TRY(need(m, f, VARINT));
		*list[i].out = (int64_t)f->value;
	}
	return SN_OK;
}

/* SentencePiece: piece = 1, score = 2, type = 3. */
static sn_status visit_piece(void *payload, const message *m, const field *f)
{
	sn_spm_piece *p = payload;
	if (f->number < 1 || f->number > 3) return SN_OK;
	SN_TRY(need(m, f, f->number == 1 ? BYTES : f->number == 2 ? FIXED32 : VARINT));
	if (f->number == 1) p->text = f->bytes;
	if (f->number == 2) p->score = sn_float_of((uint32_t)f->value);
	if (f->number == 3) p->type = f->value <= SN_TOKEN_BYTE ? (int32_t)f->value : 0;
	return SN_OK;
}

static sn_status check_piece(const message *m, const sn_spm_piece *p, int64_t number)
{
	if (p->text.size == 0) return sn_fail(m->ctx, SN_EPARSE, "%s: piece %lld is empty", m->source, (long long)number);
	if (sn_utf8_check(p->text.data, p->text.size) >= 0)
		return sn_fail(m->ctx, SN_EPARSE, "%s: piece %lld is not UTF-8", m->source, (long long)number);
	if (p->type > 0) return SN_OK;
	return sn_fail(m->ctx, SN_EUNKNOWN, "%s: piece %lld, '%.*s', is of a type that is not known; known: 1 to 6",
				   m->source, (long long)number, (int)SN_MIN(p->text.size, 80), p->text.data);
}

static sn_status read_kind(const message *m, int64_t kind, sn_spm_kind *out)
{
	*out = (sn_spm_kind)kind;
	if (kind == SN_SPM_UNIGRAM || kind == SN_SPM_BPE || kind == SN_SPM_CHAR) return SN_OK;
	return sn_fail(m->ctx, SN_EUNKNOWN, "%s: trainer_spec.model_type is %lld%s; known: 1 (UNIGRAM), 2 (BPE), 4 (CHAR)",
				   m->source, (long long)kind, kind == SN_SPM_WORD ? " (WORD)" : "");
}

/* TrainerSpec: model_type = 3, treat_whitespace_as_suffix = 24, byte_fallback = 35, bos_id = 41, eos_id, pad_id. */
static sn_status visit_trainer(void *payload, const message *m, const field *f)
{
	sn_spm_spec *spec = payload;
	int64_t kind = -1, suffix = spec->whitespace_as_suffix, fallback = spec->byte_fallback;
	const numbered list[] = { { 3, &kind },       { 24, &suffix },    { 35, &fallback },
							  { 41, &spec->bos }, { 42, &spec->eos }, { 43, &spec->pad } };
	SN_TRY(read_number(m, f, list, SN_COUNT(list)));
	spec->whitespace_as_suffix = suffix;
	spec->byte_fallback = fallback;
	return f->number == 3 ? read_kind(m, kind, &spec->kind) : SN_OK;
}

/* NormalizerSpec: precompiled_charsmap = 2, add_dummy_prefix = 3, remove_extra_whitespaces, escape_whitespaces. */
static sn_status visit_normalizer(void *payload, const message *m, const field *f)
{
	sn_spm_spec *spec = payload;
	int64_t prefix = spec->add_dummy_prefix, spaces = spec->remove_extra_whitespaces, escape = spec->escape_whitespaces;
	const numbered list[] = { { 3, &prefix }, { 4, &spaces }, { 5, &escape } };
	SN_TRY(read_number(m, f, list, SN_COUNT(list)));
	spec->add_dummy_prefix = prefix;
	spec->remove_extra_whitespaces = spaces;
	spec->escape_whitespaces = escape;
	if (f->number != 2) return SN_OK;
	spec->charsmap = f->bytes;
	return need(m, f, BYTES);
}

static sn_status count_piece(void *payload, const message *m, const field *f)
{
	if (f->number == 1) ++*(int64_t *)payload;
	return f->number >= 1 && f->number <= 3 ? need(m, f, BYTES) : SN_OK;
}

typedef struct model {
	sn_spm_piece *piece;
	int64_t n;
	sn_spm_spec *spec;
} model;

static sn_status visit_model(void *payload, const message *m, const field *f)
{
	model *out = payload;
	if (f->number == 2) return each_field(inside(m, f), visit_trainer, out->spec);
	if (f->number == 3) return each_field(inside(m, f), visit_normalizer, out->spec);
	if (f->number != 1) return SN_OK;
	sn_spm_piece *p = &out->piece[out->n];
	*p = (sn_spm_piece){ .type = SN_TOKEN_NORMAL };
	SN_TRY(each_field(inside(m, f), visit_piece, p));
	SN_TRY(check_piece(m, p, out->n));
	if (p->type == SN_TOKEN_UNKNOWN && out->spec->unk < 0) out->spec->unk = out->n;
	out->n++;
	return SN_OK;
}

sn_status sn_spm_parse(sn_spm_spec *out, sn_ctx *ctx, sn_arena *arena, sn_slice bytes, const char *source)
{
	const message m = { ctx, source, bytes.data, 0, bytes.size };
	model all = { .spec = out };
	*out = (sn_spm_spec){ .source = source, .kind = SN_SPM_UNIGRAM, .unk = -1, .bos = 1, .eos = 2, .pad = -1 };
	out->add_dummy_prefix = out->remove_extra_whitespaces = out->escape_whitespaces = true;
	SN_TRY(each_field(m, count_piece, &out->n));
	if (out->n == 0) return sn_fail(ctx, SN_EPARSE, "%s: no pieces: not a SentencePiece model", source);
	SN_NEW(all.piece, arena, sn_spm_piece, out->n);
	out->piece = all.piece;
	return each_field(m, visit_model, &all);
}
