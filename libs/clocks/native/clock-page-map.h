/* Mapping a clock page into this process; see clock-page.h for what is on it. */
#ifndef MERIDIAN_CLOCK_PAGE_MAP_H
#define MERIDIAN_CLOCK_PAGE_MAP_H

#include "clock-page.h"

/* The page behind a descriptor, which stays the caller's. NULL with errno; EINVAL for what is shorter than a page. */
struct clock_page *clock_page_map(int descriptor, bool writable);

void clock_page_unmap(struct clock_page *page);

#endif
