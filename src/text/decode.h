/* Decoders: stages that turn the texts of tokens back into text. */
#ifndef SN_TEXT_DECODE_H
#define SN_TEXT_DECODE_H

#include "io/bytes.h"
#include "text/regex.h"

typedef enum sn_decoder_kind {
	SN_DECODER_NONE,
	SN_DECODE_BYTE_LEVEL,    /* GPT-2's alphabet; ends with one text */
	SN_DECODE_WORDPIECE,     /* a space before what does not continue a word */
	SN_DECODE_METASPACE,     /* visible spaces become spaces; that of the first token goes */
	SN_DECODE_BPE,           /* ends of words become spaces, the last one goes */
	SN_DECODE_BYTE_FALLBACK, /* "<0xD0>" becomes a byte; runs that are not UTF-8 one U+FFFD each */
	SN_DECODE_FUSE,          /* one text */
	SN_DECODE_STRIP,         /* up to start, stop characters of one kind at the ends of each text */
	SN_DECODE_REPLACE,
	SN_DECODE_CTC, /* repeated tokens become one, then the padding goes */
	SN_DECODER_KINDS
} sn_decoder_kind;

typedef struct sn_decoder {
	sn_decoder_kind kind;
	sn_slice text;   /* WORDPIECE prefix; METASPACE, STRIP the character; BPE suffix; CTC padding */
	sn_slice by;     /* REPLACE by what; CTC the delimiter of words */
	bool cleanup;    /* WORDPIECE, CTC: English punctuation and contractions lose the space before them */
	bool keep_first; /* METASPACE: the first token's space stays */
	int64_t start, stop;
	sn_regex *regex; /* REPLACE */
} sn_decoder;

/* A list of texts, one behind the other. Zero-initialise with ctx set in both; sn_texts_free at the end. */
typedef struct sn_texts {
	sn_buf bytes, end; /* end: size_t, where each text ends */
} sn_texts;

void sn_texts_free(sn_texts *texts);
/* Ends a text: what has been added to texts->bytes since the one before. */
void sn_texts_end(sn_texts *texts);
size_t sn_texts_count(const sn_texts *texts);
sn_slice sn_texts_at(const sn_texts *texts, size_t i);

/* Puts texts through n decoders, in order, in place. SN_ENOMEM, or what a regex fails with. Cost: linear. */
SN_CHECKED sn_status sn_decode(sn_ctx *ctx, const sn_decoder *decoder, int n, sn_texts *texts);

#endif
