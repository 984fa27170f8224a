/* A list of objects or lists, looked through 64 bytes at a time: a bit for each byte says what it is (as Langdale and
   Lemire describe it in "Parsing Gigabytes of JSON per Second", 2019). Only brackets outside of strings are stepped to.

   What is not sure is left to past_list in lists.h, which looks at one value after the other. */
#if defined(__SSE2__)
#include <emmintrin.h>

struct block {
  uint64_t quotes, slashes, brackets;
};

static struct block seen(const uint8_t *text) {
  struct block bits = {0, 0, 0};
  for (int part = 0; part < 4; part++) {
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(text + part * 16));
    /* This bit is all that tells [ from { and ] from }. */
    __m128i braces = _mm_or_si128(bytes, _mm_set1_epi8(0x20));
    __m128i any = _mm_or_si128(_mm_cmpeq_epi8(braces, _mm_set1_epi8('{')), _mm_cmpeq_epi8(braces, _mm_set1_epi8('}')));
    bits.quotes |= (uint64_t)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'))) << part * 16;
    bits.slashes |= (uint64_t)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'))) << part * 16;
    bits.brackets |= (uint64_t)_mm_movemask_epi8(any) << part * 16;
  }
  return bits;
}

/* The bytes that a backslash before them escapes. `*carried` is 1 where the block before ended with such a backslash. */
static uint64_t escaped(uint64_t slashes, uint64_t *carried) {
  uint64_t found = *carried;
  slashes &= ~found;
  *carried = 0;
  while (slashes) {
    uint64_t first = slashes & -slashes;
    if (first == (uint64_t)1 << 63) *carried = 1;
    found |= first << 1;
    slashes &= ~(first | first << 1);
  }
  return found;
}

/* From each quote to the one that ends it, the first included. `*within` is all ones where a string is still open. */
static uint64_t in_strings(uint64_t quotes, uint64_t *within) {
  for (int by = 1; by < 64; by *= 2) quotes ^= quotes << by;
  quotes ^= *within;
  *within = quotes >> 63 ? ~(uint64_t)0 : 0;
  return quotes;
}

struct nest {
  uint8_t closing[MOST_OPEN];
  int open;
  const uint8_t *after; /* behind the last value of the list, or its opening bracket */
  int64_t many;
};

/* Whether between two values, or one and the list's bracket, there is what has to be: spaces, and `commas` commas. */
static int between(const uint8_t *at, const uint8_t *end, int commas) {
  for (; at < end; at++) {
    if (*at == ',') commas--;
    else if (*at != ' ' && *at != '\n' && *at != '\r' && *at != '\t') return UNFIT;
  }
  return commas == 0 ? FIT : UNFIT;
}

/* One bracket of the list: FIT when it is the list's own end, UNFIT when nothing is sure, else MORE. */
#define MORE 3
static int bracket(struct nest *nest, const uint8_t *at) {
  if (*at == '{' || *at == '[') {
    if (nest->open == 0 && between(nest->after, at, nest->many > 0) != FIT) return UNFIT;
    if (nest->open == MOST_OPEN) return UNFIT;
    nest->closing[nest->open++] = (uint8_t)(*at + 2); /* in ASCII each closing bracket is two behind its opening one */
    return MORE;
  }
  if (nest->open == 0) return *at == ']' && between(nest->after, at, 0) == FIT ? FIT : UNFIT;
  if (nest->closing[--nest->open] != *at) return UNFIT;
  if (nest->open == 0) {
    nest->many++;
    nest->after = at + 1;
  }
  return MORE;
}

/* Behind the list whose opening bracket `page` is at, and how many values it has; or UNFIT, and `page` is where it was. */
static int past_blocks(struct page *page, int64_t *many) {
  const uint8_t *text = page->at + 1;
  uint64_t carried = 0, within = 0;
  struct nest nest = {.open = 0, .after = text, .many = 0};
  for (; text < page->end; text += 64) {
    uint8_t last[64];
    int whole = page->end - text >= 64;
    if (!whole) {
      memset(last, ' ', sizeof last);
      memcpy(last, text, (size_t)(page->end - text));
    }
    struct block bits = seen(whole ? text : last);
    uint64_t strings = in_strings(bits.quotes & ~escaped(bits.slashes, &carried), &within);
    if (bits.slashes & ~strings) return UNFIT; /* no JSON: whoever reads it shall say so */
    for (uint64_t left = bits.brackets & ~strings; left; left &= left - 1) {
      const uint8_t *at = text + __builtin_ctzll(left);
      int told = bracket(&nest, at);
      if (told == UNFIT) return UNFIT;
      if (told == FIT) {
        page->at = at + 1;
        *many = nest.many;
        return FIT;
      }
    }
  }
  return UNFIT;
}
#else
static int past_blocks(struct page *page, int64_t *many) {
  (void)page, (void)many;
  return UNFIT;
}
#endif
