/* The core under mutated pages and failing allocations: ./core_fire SEED SECONDS, built with sanitizers and core.c.

   Every page is read from a block of exactly its length and the byte 0, so a step too far is seen. */

#include <stdio.h>
#include <time.h>

static unsigned long long state;
static int failing;

static unsigned chance(unsigned below) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (unsigned)(state >> 33) % below;
}

/* stdlib.h is known by now, so its names may be taken for core.c alone. */
#include <stdlib.h>
static void *some_realloc(void *block, size_t size) { return failing && chance(40) == 0 ? NULL : realloc(block, size); }
static void *some_calloc(size_t many, size_t size) { return failing && chance(40) == 0 ? NULL : calloc(many, size); }
#define realloc some_realloc
#define calloc some_calloc
#include "core.c"
#undef realloc
#undef calloc

static struct ArrowSchema types[16];
static struct ArrowSchema *places[16];

static struct ArrowSchema *type(int at, const char *format, const char *name, int first, int many) {
  types[at] = (struct ArrowSchema){.format = format, .name = name, .n_children = many, .children = &places[first]};
  places[at] = &types[at];
  return &types[at];
}

static const char *const pages[] = {
    "[{\"i\":1,\"d\":2.5,\"t\":\"a\",\"b\":true,\"n\":null,\"l\":[1,2],\"s\":{\"x\":\"y\",\"z\":[{\"q\":\"e\"}]}}]",
    " [ {\"i\" : -9223372036854775808 , \"d\":0.30000000000000004,\"t\":\"\\u00e9\\ud83d\\ude00\\n\",\"l\":[]} , {\"s\":null} ] ",
    "[{\"t\":\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 and plain text that is longer than eight\",\"d\":-1e-300,\"b\":false}]",
    "[{\"d\":12345678901234567e-5},{\"d\":1E+22},{\"d\":-0.0},{\"s\":{}},{\"s\":{\"z\":[{},{\"q\":null}]}}]",
    "{\"meta\":{\"n\":\"]}\\\"\",\"data\":{\"x\":[1]}},\"data\":[{\"a\":\"[\\\\\"},[[]],{},-1.5,null],\"next\":null}",
    "{\"a\":{\"data\":[[[[{}]]]]},\"data\" : [ ] , \"b\":[{\"c\":\"long enough a text for eight bytes at once\"}]} ",
    "[{\"w\":\"2026-01-31T09:30:00Z\"},{\"w\":\"1999-12-31 23:59+05:30\"},{\"w\":\"2024-02-29T00:00:00.125-0100\"}]",
    "[]"};
static const char *const keys[] = {"data", "x", "a"};
static const char pieces[] = "\"\\{}[]:,0123456789.-+:TZeEnulltruefals \n\t\x00\x80\xc3\xa9\xed\xa0\xf4\xffud83d";

static size_t mutated(char *text, size_t length) {
  unsigned many = chance(4);
  while (many--) {
    size_t at = length ? chance((unsigned)length) : 0;
    switch (chance(5)) {
      case 0: if (length) text[at] = pieces[chance(sizeof pieces - 1)]; break;
      case 1: if (length) memmove(text + at, text + at + 1, --length - at); break;
      case 2: memmove(text + at + 1, text + at, length++ - at); text[at] = pieces[chance(sizeof pieces - 1)]; break;
      case 3: length = at; break;
      default: { /* a part of it once more */
        size_t part = length - at < 40 ? length - at : 40;
        memmove(text + at + part, text + at, length - at);
        length += part;
      }
    }
  }
  return length;
}

/* Where the 64 bytes at a time are sure, one value after the other says the same, or that it ends at a byte 0. 1 if not. */
static int both_ways_differ(const uint8_t *block, size_t length) {
  for (size_t at = 0; at < length; at++) {
    if (block[at] != '[') continue;
    struct page one = {block + at, block + length, 0, 0}, other = one;
    int64_t many, others;
    if (past_blocks(&one, &many) != FIT) continue;
    other.at++;
    if (past_values(&other, &others) != FIT ? memchr(block + at, 0, length - at) == NULL : other.at != one.at || many != others)
      return 1;
  }
  return 0;
}

/* 64 bytes at a time are sure of rows, whatever is in their strings and wherever. 1 if not. */
static int blocks_are_unsure(void) {
#if defined(__SSE2__)
  static const char *const inside[] = {"\\\"", "\\\\", "\\\"},{\\\"", "]}", ""};
  char row[400];
  for (size_t i = 0; i < sizeof inside / sizeof *inside; i++)
    for (int before = 0; before < 130; before++) {
      int64_t many;
      int length = snprintf(row, sizeof row, "[{\"a\":\"%*s%s\"} , {\"b\":[\"%s\"]}]  ", before, "", inside[i], inside[i]);
      struct page page = {(const uint8_t *)row, (const uint8_t *)row + length, 0, 0};
      if (past_blocks(&page, &many) != FIT || many != 2 || page.at != page.end - 2) return 1;
    }
#endif
  return 0;
}

int main(int count, char **arguments) {
  static char text[4096];
  unsigned long read = 0, fit = 0, listed = 0;
  state = (unsigned long long)atoll(arguments[1]);
  time_t ends_at = time(NULL) + atoi(arguments[2]);
  type(9, "u", "q", 0, 0);
  type(8, "+s", "item", 9, 1);
  type(11, "u", "x", 0, 0);
  type(12, "+l", "z", 8, 1);
  type(10, "l", "item", 0, 0);
  type(0, "l", "i", 0, 0), type(1, "g", "d", 0, 0), type(2, "u", "t", 0, 0), type(3, "b", "b", 0, 0);
  type(4, "n", "n", 0, 0), type(5, "+l", "l", 10, 1), type(6, "+s", "s", 11, 2), type(7, "tsu:UTC", "w", 0, 0);
  struct ArrowSchema *row = type(13, "+s", "", 0, 8);
  if (blocks_are_unsure()) return 3;
  while (count == 3 && time(NULL) < ends_at)
    for (int i = 0; i < 2000; i++, read++) {
      const char *seed = pages[chance(sizeof pages / sizeof *pages)];
      size_t length = strlen(seed);
      memcpy(text, seed, length);
      length = mutated(text, length);
      uint8_t *block = malloc(length + 1);
      struct ArrowArray rows;
      memcpy(block, text, length);
      block[length] = 0;
      failing = chance(3) == 0;
      int64_t found[3];
      for (size_t depth = 0; depth < 3; depth++)
        if (kt_list(block, length, keys + chance(2), depth, found) == FIT) {
          listed++;
          if (found[0] < 0 || found[1] > (int64_t)length || block[found[0]] != '[' || block[found[1] - 1] != ']') return 1;
        }
      if (both_ways_differ(block, length)) {
        fprintf(stderr, "%.*s\n", (int)length, (char *)block);
        free(block);
        return 2;
      }
      int wide;
      if (kt_read(block, length, row, &rows, &wide) == FIT) {
        fit++;
        rows.release(&rows);
      }
      free(block);
    }
  printf("%lu %lu %lu\n", read, fit, listed);
  return 0;
}
