/* Numbers of JSON that an int64 or a double holds with all their digits. */
#define WHOLE_MOST ((int64_t)1 << 53)

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
  page->wide |= number >= (uint64_t)WHOLE_MOST;
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
  page->wide |= *found >= (double)WHOLE_MOST;
  if (negative) *found = -*found;
  return ends_here(page);
}
