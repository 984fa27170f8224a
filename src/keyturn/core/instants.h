/* Instants of RFC 3339, and as widely as Keyturn takes them: 2026-01-31T09:30:00Z, a space for the T, no seconds, up to six
   digits of a second, an offset with or without its colon. As microseconds since 1970, UTC. */

static int mark(struct page *page, uint8_t wanted) {
  if (*page->at != wanted) return UNFIT;
  page->at++;
  return FIT;
}

/* Two digits, at most `most`. */
static int two(struct page *page, int most, int *found) {
  if (page->end - page->at < 2 || !is_digit(page->at[0]) || !is_digit(page->at[1])) return UNFIT;
  *found = (page->at[0] - '0') * 10 + (page->at[1] - '0');
  page->at += 2;
  return *found <= most ? FIT : UNFIT;
}

/* Days since 1970 of a day that there is, from the year 1000 up to 9899. */
static int day(struct page *page, int64_t *found) {
  static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
  int high, low, month, date;
  if (two(page, 98, &high) != FIT || two(page, 99, &low) != FIT || high < 10 || mark(page, '-') != FIT) return UNFIT;
  if (two(page, 12, &month) != FIT || month == 0 || mark(page, '-') != FIT) return UNFIT;
  if (two(page, 31, &date) != FIT || date == 0) return UNFIT;
  int year = high * 100 + low, past = year - 1, leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  if (date > before[month] - before[month - 1] + (leap && month == 2)) return UNFIT;
  *found = (int64_t)past * 365 + past / 4 - past / 100 + past / 400 - 719162;
  *found += before[month - 1] + (leap && month > 2) + date - 1;
  return FIT;
}

/* Up to six digits of a second, as microseconds. */
static int fraction(struct page *page, int64_t *found) {
  int digits = 0;
  for (*found = 0; digits < 6 && is_digit(*page->at); digits++, page->at++) *found = *found * 10 + (*page->at - '0');
  if (digits == 0) return UNFIT;
  for (; digits < 6; digits++) *found *= 10;
  return FIT;
}

/* Minutes that the clock is ahead of UTC. */
static int offset(struct page *page, int64_t *found) {
  int hours, minutes, behind = *page->at == '-';
  *found = 0;
  if (mark(page, 'Z') == FIT) return FIT;
  if (mark(page, behind ? '-' : '+') != FIT || two(page, 23, &hours) != FIT) return UNFIT;
  (void)mark(page, ':');
  if (two(page, 59, &minutes) != FIT) return UNFIT;
  *found = (behind ? -1 : 1) * (int64_t)(hours * 60 + minutes);
  return FIT;
}

static int instant(struct page *page, int64_t *found) {
  int64_t days, ahead, micros = 0;
  int hours, minutes, seconds = 0;
  if (mark(page, '"') != FIT || day(page, &days) != FIT) return UNFIT;
  if (mark(page, 'T') != FIT && mark(page, ' ') != FIT) return UNFIT;
  if (two(page, 23, &hours) != FIT || mark(page, ':') != FIT || two(page, 59, &minutes) != FIT) return UNFIT;
  if (mark(page, ':') == FIT) {
    if (two(page, 59, &seconds) != FIT) return UNFIT;
    if (mark(page, '.') == FIT && fraction(page, &micros) != FIT) return UNFIT;
  }
  if (offset(page, &ahead) != FIT || mark(page, '"') != FIT) return UNFIT;
  *found = (((days * 24 + hours) * 60 + minutes - ahead) * 60 + seconds) * 1000000 + micros;
  return FIT;
}
