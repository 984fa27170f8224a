/* Two things that are done to every page: where the list of its rows is in the JSON text (kt_list), and that list straight
   into Arrow arrays of a given type (kt_read): one pass each, no guess.

   What is not exactly of the type is refused (kt_read answers UNFIT) and is then read by the slower ways, which know
   what to do about it: an unknown or repeated key, a key with an escape, a number that an int64 or a double does not
   hold with all its digits, text that is not UTF-8 or has a lone surrogate, anything that is not JSON (RFC 8259).

   Types come and arrays go by the Arrow C data interface. No global state; nothing is written outside of what
   `grown` has made room for; recursion is as deep as the type, which `planned` bounds. */

#include "page.h"
#include "numbers.h"
#include "instants.h"
#include "arrays.h"
#include "lists.h"

#define EXPORTED __attribute__((visibility("default")))

static int value(struct page *page, struct node *node);

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
    case INSTANT: told = instant(page, (int64_t *)node->values + node->length); break;
    case TEXT: told = string(page, node); break;
    case LIST:
      if ((told = list(page, &node->children[0])) == FIT) end_offset(node, node->children[0].length);
      break;
    case STRUCT: told = object(page, node); break;
  }
  if (told == FIT) counted(node);
  return told;
}

/* Where the list is that `depth` keys lead to: its first byte, the byte behind it, and how many values it has. `text`
   is as for kt_read. Answers UNFIT where there is none, where a key is said twice, or where the brackets do not close. */
EXPORTED int kt_list(const uint8_t *text, size_t length, const char *const *keys, size_t depth, int64_t *found) {
  struct page page = {text, text + length, 0, 0};
  if (depth > DEEPEST || list_within(&page, text, keys, depth, found) != FIT) return UNFIT;
  skip_space(&page);
  return page.at == page.end ? FIT : UNFIT;
}

/* Read `length` bytes of `text`, behind which a byte 0 lies, as a list of objects of `type`, a struct, into `rows`.
   `wide` is 1 if a number is 2^53 or more, or its opposite: beyond the whole numbers that a double tells apart. Else 0. Answers FIT, and `rows` is the caller's to release; or UNFIT or NO_MEMORY, and there is nothing to release. */
EXPORTED int kt_read(const uint8_t *text, size_t length, const struct ArrowSchema *type, struct ArrowArray *rows,
                     int *wide) {
  struct page page = {text, text + length, 0, 0};
  struct node root = {0};
  int told = length < MOST_BYTES ? planned(type, &root, 0) : UNFIT;
  if (told == FIT && root.kind != STRUCT) told = UNFIT;
  if (told == FIT) {
    skip_space(&page);
    told = list(&page, &root);
    skip_space(&page);
    if (told == FIT && (page.at != page.end || root.nulls)) told = UNFIT;
  }
  *wide = page.wide;
  if (told == FIT && (told = handed_over(&root, rows)) != FIT) rows->release(rows);
  forget(&root);
  return told;
}
