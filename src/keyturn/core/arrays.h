/* Columns while they are filled, and what they become. */
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

enum kind { NOTHING, BOOLEAN, INTEGER, DOUBLE, INSTANT, TEXT, LIST, STRUCT };

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
    case DOUBLE:
    case INSTANT: return (size_t)room * 8;
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
      {"n", NOTHING}, {"b", BOOLEAN}, {"l", INTEGER}, {"g", DOUBLE},
      {"tsu:UTC", INSTANT}, {"u", TEXT}, {"+l", LIST}, {"+s", STRUCT}};
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
  static const int64_t buffers[] = {0, 2, 2, 2, 2, 3, 2, 1};
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
