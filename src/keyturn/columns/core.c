/* A page's JSON list of objects, straight into Arrow arrays of a given type: one pass, no guess.

   What is not exactly of the type is refused (kt_read answers UNFIT) and is then read by the slower ways, which know
   what to do about it: an unknown or repeated key, a key with an escape, a number that an int64 or a double does not
   hold with all its digits, text that is not UTF-8 or has a lone surrogate, anything that is not JSON (RFC 8259).

   Types come and arrays go by the Arrow C data interface. No global state; nothing is written outside of what
   `grown` has made room for; recursion is as deep as the type, which `planned` bounds. */

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIT 0
#define UNFIT 1
#define NO_MEMORY 2
#define DEEPEST 64
#define MOST_BYTES ((size_t)1 << 30) /* offsets are 32 bits, and no page is that long */
#define PADDING 64
#define PLANNED_ELEMENTS 1024

/* https://arrow.apache.org/docs/format/CDataInterface.html */
struct ArrowSchema {
  const char *format, *name, *metadata;
  int64_t flags, n_children;
  struct ArrowSchema **children, *dictionary;
  void (*release)(struct ArrowSchema *);
  void *private_data;
};

struct ArrowArray {
  int64_t length, null_count, offset, n_buffers, n_children;
  const void **buffers;
  struct ArrowArray **children, *dictionary;
  void (*release)(struct ArrowArray *);
  void *private_data;
};

enum kind { NOTHING, BOOLEAN, INTEGER, DOUBLE, TEXT, LIST, STRUCT };

/* A column, or a part of one, while it is filled. */
struct node {
  enum kind kind;
  const char *name;
  size_t name_length;
  int64_t n_children;
  struct node *children;
  int64_t length, room, nulls;
  uint8_t *valid; /* a bitmap, made at the first null */
  void *values;   /* bits, int64_t, double, or offsets */
  uint8_t *text;
  size_t text_length, text_room;
  uint64_t said_in; /* the number of the object that said this key last */
};

struct page {
  const uint8_t *at, *end;
  uint64_t objects;
};

static int value(struct page *page, struct node *node);

/* ---- Room ---- */

static int enlarge(void **where, size_t before, size_t after) {
  uint8_t *made = realloc(*where, after + PADDING);
  if (made == NULL) return NO_MEMORY;
  memset(made + before, 0, after + PADDING - before);
  *where = made;
  return FIT;
}

static size_t values_size(const struct node *node, int64_t room) {
  switch (node->kind) {
    case BOOLEAN: return (size_t)room / 8;
    case INTEGER:
    case DOUBLE: return (size_t)room * 8;
    case TEXT:
    case LIST: return ((size_t)room + 1) * 4;
    default: return 0;
  }
}

/* Room for one more element. `room` is a multiple of eight. */
static int grown(struct node *node) {
  if (node->length < node->room) return FIT;
  int64_t room = node->room ? node->room * 2 : PLANNED_ELEMENTS;
  if ((size_t)room > MOST_BYTES) return UNFIT;
  size_t before = node->values == NULL ? 0 : values_size(node, node->room), after = values_size(node, room);
  int told;
  if (after && (told = enlarge(&node->values, before, after)) != FIT) return told;
  if (node->valid != NULL) {
    void *valid = node->valid;
    if ((told = enlarge(&valid, (size_t)node->room / 8, (size_t)room / 8)) != FIT) return told;
    node->valid = valid;
  }
  node->room = room;
  return FIT;
}

static int text_grown(struct node *node, size_t more) {
  size_t wanted = node->text_length + more, room = node->text_room ? node->text_room : 4096;
  if (wanted <= node->text_room) return FIT;
  if (wanted > MOST_BYTES) return UNFIT;
  while (room < wanted) room *= 2;
  void *text = node->text;
  int told = enlarge(&text, node->text_room, room);
  if (told != FIT) return told;
  node->text = text;
  node->text_room = room;
  return FIT;
}

static void set_bit(uint8_t *bits, int64_t at) { bits[at >> 3] |= (uint8_t)(1u << (at & 7)); }

/* The element at `length` is whole: it counts. */
static void counted(struct node *node) {
  if (node->valid != NULL) set_bit(node->valid, node->length);
  node->length++;
}

static void end_offset(struct node *node, int64_t end) { ((int32_t *)node->values)[node->length + 1] = (int32_t)end; }

static int append_null(struct node *node) {
  int told = grown(node);
  if (told != FIT) return told;
  if (node->valid == NULL) {
    void *valid = NULL;
    if ((told = enlarge(&valid, 0, (size_t)node->room / 8)) != FIT) return told;
    node->valid = valid;
    memset(node->valid, 0xff, (size_t)node->length / 8);
    for (int64_t at = node->length & ~(int64_t)7; at < node->length; at++) set_bit(node->valid, at);
  }
  if (node->kind == TEXT) end_offset(node, (int64_t)node->text_length);
  if (node->kind == LIST) end_offset(node, node->children[0].length);
  for (int64_t i = 0; node->kind == STRUCT && i < node->n_children; i++)
    if ((told = append_null(&node->children[i])) != FIT) return told;
  node->nulls++;
  node->length++;
  return FIT;
}

/* ---- JSON: `end` holds a byte 0 behind the text, so one byte may always be looked at ---- */

static void skip_space(struct page *page) {
  while (*page->at == ' ' || *page->at == '\n' || *page->at == '\r' || *page->at == '\t') page->at++;
}

static int word(struct page *page, const char *text, size_t length) {
  if ((size_t)(page->end - page->at) < length || memcmp(page->at, text, length) != 0) return UNFIT;
  page->at += length;
  return FIT;
}

static int is_digit(uint8_t byte) { return byte >= '0' && byte <= '9'; }

/* A number's end is what follows it: anything else would be no JSON. */
static int ends_here(const struct page *page) {
  switch (*page->at) {
    case ',': case '}': case ']': case ' ': case '\n': case '\r': case '\t': return FIT;
    default: return UNFIT;
  }
}

static int integer(struct page *page, int64_t *found) {
  int negative = *page->at == '-';
  uint64_t most = (uint64_t)INT64_MAX + (uint64_t)negative, number = 0;
  page->at += negative;
  if (!is_digit(*page->at) || (*page->at == '0' && (negative || is_digit(page->at[1])))) return UNFIT;
  for (; is_digit(*page->at); page->at++) {
    uint64_t digit = (uint64_t)(*page->at - '0');
    if (number > (most - digit) / 10) return UNFIT;
    number = number * 10 + digit;
  }
  *found = negative ? (int64_t)(0 - number) : (int64_t)number;
  return ends_here(page);
}

/* The double nearest to mantissa * 10^exponent. No locale has a say in digits without a point. */
static double nearest(uint64_t mantissa, int exponent) {
  char text[48];
  snprintf(text, sizeof text, "%" PRIu64 "e%d", mantissa, exponent);
  return strtod(text, NULL);
}

/* A double's first `digits` digits, rounded, as an integer; times 10^exponent that is about the double. */
static uint64_t rounded(double number, int digits, int *exponent) {
  char text[48], *at = text;
  uint64_t found = 0;
  snprintf(text, sizeof text, "%.*e", digits - 1, number);
  for (; *at && *at != 'e'; at++)
    if (is_digit((uint8_t)*at)) found = found * 10 + (uint64_t)(*at - '0');
  *exponent = (*at ? (int)strtol(at + 1, NULL, 10) : 0) - (digits - 1);
  return found;
}

/* Up to 15 digits always survive in a double; 16 or 17 do where no shorter number has the same double, and no other of
   that length is nearer: then they are what is shown of it. */
static int survives(double number, uint64_t mantissa, int digits) {
  int exponent;
  if (digits <= 15) return FIT;
  if (rounded(number, digits, &exponent) != mantissa) return UNFIT;
  uint64_t shorter = rounded(number, digits - 1, &exponent);
  return nearest(shorter, exponent) == number ? UNFIT : FIT;
}

/* Up to 15 digits and a power of ten up to 22 are doubles themselves, and one operation on two doubles is rounded
   rightly (Clinger 1990). */
static int scaled(uint64_t mantissa, int exponent, double *found) {
  static const double tens[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  int digits = 0;
  if (mantissa == 0) {
    *found = 0;
    return FIT;
  }
  for (; mantissa % 10 == 0; exponent++) mantissa /= 10;
  for (uint64_t rest = mantissa; rest; rest /= 10) digits++;
  if (digits <= 15 && exponent >= -22 && exponent <= 22) {
    *found = exponent < 0 ? (double)mantissa / tens[-exponent] : (double)mantissa * tens[exponent];
    return FIT;
  }
  if (digits > 17) return UNFIT;
  *found = nearest(mantissa, exponent);
  if (!(*found > 1e-300 && *found < 1e300)) return UNFIT; /* far from where a double holds fewer digits, or none */
  return survives(*found, mantissa, digits);
}

/* Digits onto a mantissa of at most 18; what is longer is for others to look at. */
static int digits_onto(struct page *page, uint64_t *mantissa, int *read) {
  if (!is_digit(*page->at)) return UNFIT;
  for (*read = 0; is_digit(*page->at); page->at++, ++*read) {
    if (*mantissa >= 100000000000000000u || *read > 400) return UNFIT;
    *mantissa = *mantissa * 10 + (uint64_t)(*page->at - '0');
  }
  return FIT;
}

static int number(struct page *page, double *found) {
  int negative = *page->at == '-', whole = 1, read, exponent = 0;
  uint64_t mantissa = 0;
  page->at += negative;
  if ((*page->at == '0' && is_digit(page->at[1])) || digits_onto(page, &mantissa, &read) != FIT) return UNFIT;
  if (*page->at == '.') {
    whole = 0;
    page->at++;
    if (digits_onto(page, &mantissa, &read) != FIT) return UNFIT;
    exponent = -read;
  }
  if (*page->at == 'e' || *page->at == 'E') {
    uint64_t power = 0;
    int below;
    whole = 0;
    page->at++;
    below = *page->at == '-';
    page->at += below || *page->at == '+';
    if (digits_onto(page, &power, &read) != FIT || power > 400) return UNFIT;
    exponent += below ? -(int)power : (int)power;
  }
  if ((whole && negative && mantissa == 0) || scaled(mantissa, exponent, found) != FIT) return UNFIT;
  if (negative) *found = -*found;
  return ends_here(page);
}

static int four_hex(struct page *page, uint32_t *found) {
  uint32_t code = 0;
  if (page->end - page->at < 4) return UNFIT;
  for (int i = 0; i < 4; i++, page->at++) {
    uint8_t byte = *page->at, low = byte | 0x20;
    if (is_digit(byte)) code = code * 16 + (uint32_t)(byte - '0');
    else if (low >= 'a' && low <= 'f') code = code * 16 + (uint32_t)(low - 'a' + 10);
    else return UNFIT;
  }
  *found = code;
  return FIT;
}

/* The character behind \u, as UTF-8. `text` has room for four bytes. */
static int escaped_code(struct page *page, uint8_t *text, size_t *length) {
  uint32_t code, low;
  int told = four_hex(page, &code);
  if (told != FIT) return told;
  if (code >= 0xd800 && code < 0xe000) {
    if (code >= 0xdc00 || word(page, "\\u", 2) != FIT || four_hex(page, &low) != FIT) return UNFIT;
    if (low < 0xdc00 || low >= 0xe000) return UNFIT;
    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
  }
  if (code < 0x80) {
    text[0] = (uint8_t)code;
    *length = 1;
  } else if (code < 0x800) {
    text[0] = (uint8_t)(0xc0 | code >> 6);
    text[1] = (uint8_t)(0x80 | (code & 0x3f));
    *length = 2;
  } else if (code < 0x10000) {
    text[0] = (uint8_t)(0xe0 | code >> 12);
    text[1] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
    text[2] = (uint8_t)(0x80 | (code & 0x3f));
    *length = 3;
  } else {
    text[0] = (uint8_t)(0xf0 | code >> 18);
    text[1] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
    text[2] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
    text[3] = (uint8_t)(0x80 | (code & 0x3f));
    *length = 4;
  }
  return FIT;
}

/* How long the UTF-8 character at `at` is, or 0 if it is none (RFC 3629 §4). `at` is below `end`. */
static size_t character(const uint8_t *at, const uint8_t *end) {
  uint8_t first = at[0], low = 0x80, high = 0xbf;
  size_t length = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  if (length == 0 || (size_t)(end - at) < length) return 0;
  if (first == 0xe0) low = 0xa0;
  if (first == 0xed) high = 0x9f;
  if (first == 0xf0) low = 0x90;
  if (first == 0xf4) high = 0x8f;
  if (at[1] < low || at[1] > high) return 0;
  for (size_t i = 2; i < length; i++)
    if ((at[i] & 0xc0) != 0x80) return 0;
  return length;
}

/* The first byte from `at` that is a quote, a backslash, a control or beyond ASCII; `end` if there is none. */
static const uint8_t *plain_until(const uint8_t *at, const uint8_t *end) {
  const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
  for (; end - at >= 8; at += 8) {
    uint64_t eight, quote, slash;
    memcpy(&eight, at, 8);
    quote = eight ^ ones * '"';
    slash = eight ^ ones * '\\';
    /* A borrow may mark a byte too many, never one too few: the loop below looks at each. */
    if (((quote - ones) | (slash - ones) | (eight - ones * 0x20) | eight) & tops) break;
  }
  while (at < end && *at >= 0x20 && *at < 0x80 && *at != '"' && *at != '\\') at++;
  return at;
}

static int escape(struct page *page, struct node *node) {
  static const char said[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
  const char *found;
  size_t length = 1;
  int told = text_grown(node, 4);
  if (told != FIT) return told;
  page->at++;
  if (*page->at == 'u') {
    page->at++;
    if ((told = escaped_code(page, node->text + node->text_length, &length)) != FIT) return told;
  } else {
    if (page->at >= page->end || *page->at == 0 || (found = strchr(said, *page->at)) == NULL) return UNFIT;
    node->text[node->text_length] = (uint8_t)meant[found - said];
    page->at++;
  }
  node->text_length += length;
  return FIT;
}

static int string(struct page *page, struct node *node) {
  if (*page->at != '"') return UNFIT;
  page->at++;
  for (;;) {
    const uint8_t *from = page->at;
    size_t length;
    int told;
    page->at = plain_until(from, page->end);
    while (page->at < page->end && *page->at >= 0x80) {
      if ((length = character(page->at, page->end)) == 0) return UNFIT;
      page->at = plain_until(page->at + length, page->end);
    }
    if (page->at >= page->end) return UNFIT;
    length = (size_t)(page->at - from);
    if ((told = text_grown(node, length)) != FIT) return told;
    if (length) memcpy(node->text + node->text_length, from, length);
    node->text_length += length;
    if (*page->at == '"') break;
    if (*page->at != '\\') return UNFIT;
    if ((told = escape(page, node)) != FIT) return told;
  }
  page->at++;
  end_offset(node, (int64_t)node->text_length);
  return FIT;
}

/* The child that a key names, looked for where it is expected first. */
static struct node *named(struct page *page, struct node *node, int64_t *expected) {
  if (*page->at != '"') return NULL;
  const uint8_t *from = ++page->at;
  while (page->at < page->end && *page->at >= 0x20 && *page->at != '"' && *page->at != '\\') page->at++;
  if (page->at >= page->end || *page->at != '"') return NULL;
  size_t length = (size_t)(page->at - from);
  page->at++;
  for (int64_t tried = 0; tried < node->n_children; tried++) {
    int64_t place = (*expected + tried) % node->n_children;
    struct node *child = &node->children[place];
    if (child->name_length == length && memcmp(child->name, from, length) == 0) {
      *expected = place + 1;
      return child;
    }
  }
  return NULL;
}

static int object(struct page *page, struct node *node) {
  uint64_t number = ++page->objects;
  int64_t expected = 0;
  int told;
  if (*page->at != '{') return UNFIT;
  page->at++;
  skip_space(page);
  if (*page->at == '}') page->at++;
  else
    for (;;) {
      struct node *child = named(page, node, &expected);
      if (child == NULL || child->said_in == number) return UNFIT;
      child->said_in = number;
      skip_space(page);
      if (*page->at != ':') return UNFIT;
      page->at++;
      skip_space(page);
      if ((told = value(page, child)) != FIT) return told;
      skip_space(page);
      if (*page->at == '}') {
        page->at++;
        break;
      }
      if (*page->at != ',') return UNFIT;
      page->at++;
      skip_space(page);
    }
  for (int64_t i = 0; i < node->n_children; i++)
    if (node->children[i].said_in != number && (told = append_null(&node->children[i])) != FIT) return told;
  return FIT;
}

static int list(struct page *page, struct node *element) {
  int told;
  if (*page->at != '[') return UNFIT;
  page->at++;
  skip_space(page);
  if (*page->at == ']') {
    page->at++;
    return FIT;
  }
  for (;;) {
    if ((told = value(page, element)) != FIT) return told;
    skip_space(page);
    if (*page->at == ']') {
      page->at++;
      return FIT;
    }
    if (*page->at != ',') return UNFIT;
    page->at++;
    skip_space(page);
  }
}

static int value(struct page *page, struct node *node) {
  int told;
  if (*page->at == 'n') return word(page, "null", 4) == FIT ? append_null(node) : UNFIT;
  if ((told = grown(node)) != FIT) return told;
  switch (node->kind) {
    case NOTHING: return UNFIT;
    case BOOLEAN:
      if (*page->at == 't') set_bit(node->values, node->length);
      told = *page->at == 't' ? word(page, "true", 4) : word(page, "false", 5);
      break;
    case INTEGER: told = integer(page, (int64_t *)node->values + node->length); break;
    case DOUBLE: told = number(page, (double *)node->values + node->length); break;
    case TEXT: told = string(page, node); break;
    case LIST:
      if ((told = list(page, &node->children[0])) == FIT) end_offset(node, node->children[0].length);
      break;
    case STRUCT: told = object(page, node); break;
  }
  if (told == FIT) counted(node);
  return told;
}

/* ---- Types in, arrays out ---- */

static void forget(struct node *node) {
  for (int64_t i = 0; i < node->n_children; i++) forget(&node->children[i]);
  free(node->children);
  free(node->valid);
  free(node->values);
  free(node->text);
  memset(node, 0, sizeof *node);
}

static int planned(const struct ArrowSchema *type, struct node *node, int depth) {
  static const struct { const char *format; enum kind kind; } kinds[] = {
      {"n", NOTHING}, {"b", BOOLEAN}, {"l", INTEGER}, {"g", DOUBLE}, {"u", TEXT}, {"+l", LIST}, {"+s", STRUCT}};
  size_t at = 0, many = sizeof kinds / sizeof *kinds;
  int told;
  while (at < many && strcmp(kinds[at].format, type->format) != 0) at++;
  if (at == many || depth > DEEPEST || type->dictionary != NULL) return UNFIT;
  node->kind = kinds[at].kind;
  node->name = type->name == NULL ? "" : type->name;
  node->name_length = strlen(node->name);
  if (type->n_children) {
    node->children = calloc((size_t)type->n_children, sizeof *node->children);
    if (node->children == NULL) return NO_MEMORY;
    node->n_children = type->n_children;
  }
  for (int64_t i = 0; i < type->n_children; i++)
    if ((told = planned(type->children[i], &node->children[i], depth + 1)) != FIT) return told;
  return FIT;
}

static void release(struct ArrowArray *array) {
  for (int64_t i = 0; i < array->n_children; i++) {
    struct ArrowArray *child = array->children[i];
    if (child != NULL && child->release != NULL) child->release(child);
    free(child);
  }
  for (int64_t i = 0; array->buffers != NULL && i < array->n_buffers; i++) free((void *)array->buffers[i]);
  free(array->buffers);
  free(array->children);
  array->release = NULL;
}

/* Hand what a node holds over to an array. On NO_MEMORY the array is to be released still. */
static int handed_over(struct node *node, struct ArrowArray *array) {
  static const int64_t buffers[] = {0, 2, 2, 2, 3, 2, 1};
  int told;
  memset(array, 0, sizeof *array);
  array->release = release;
  array->length = node->length;
  array->null_count = node->nulls;
  array->buffers = calloc(3, sizeof *array->buffers);
  array->children = calloc((size_t)node->n_children + 1, sizeof *array->children);
  if (array->buffers == NULL || array->children == NULL) return NO_MEMORY;
  /* Offsets are there even for nothing, and text is never no buffer. */
  if (node->values == NULL && node->kind != NOTHING && node->kind != STRUCT && (told = grown(node)) != FIT) return told;
  if (node->kind == TEXT && (told = text_grown(node, 1)) != FIT) return told;
  array->n_buffers = buffers[node->kind];
  if (array->n_buffers > 0) {
    array->buffers[0] = node->valid;
    node->valid = NULL;
  }
  if (array->n_buffers > 1) {
    array->buffers[1] = node->values;
    node->values = NULL;
  }
  if (array->n_buffers > 2) {
    array->buffers[2] = node->text;
    node->text = NULL;
  }
  for (int64_t i = 0; i < node->n_children; i++) {
    struct ArrowArray *child = calloc(1, sizeof *child);
    if (child == NULL) return NO_MEMORY;
    array->children[array->n_children++] = child;
    if ((told = handed_over(&node->children[i], child)) != FIT) return told;
  }
  return FIT;
}

/* Read `length` bytes of `text`, behind which a byte 0 lies, as a list of objects of `type`, a struct, into `rows`.
   Answers FIT, and `rows` is the caller's to release; or UNFIT or NO_MEMORY, and there is nothing to release. */
__attribute__((visibility("default"))) int kt_read(const uint8_t *text, size_t length, const struct ArrowSchema *type,
                                                   struct ArrowArray *rows) {
  struct page page = {text, text + length, 0};
  struct node root = {0};
  int told = length < MOST_BYTES ? planned(type, &root, 0) : UNFIT;
  if (told == FIT && root.kind != STRUCT) told = UNFIT;
  if (told == FIT) {
    skip_space(&page);
    told = list(&page, &root);
    skip_space(&page);
    if (told == FIT && (page.at != page.end || root.nulls)) told = UNFIT;
  }
  if (told == FIT && (told = handed_over(&root, rows)) != FIT) rows->release(rows);
  forget(&root);
  return told;
}
