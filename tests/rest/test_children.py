"""Children of each row of a parent: in order, under one stamp, from any checkpoint on, whatever the parent became."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field

import pytest

from keyturn.errors import Invalid, UpstreamError
from keyturn.rest.checkpoints import Checkpoint
from keyturn.rest.children import ChildrenReader, Family, ParentRow
from keyturn.rest.keyed import put_into, with_keys
from keyturn.rest.paginators import NextUrlPagination, NoPagination
from keyturn.rest.reader import Endpoint, Reader
from keyturn.wire import Headers, Request, Response

NEXT = NextUrlPagination(next_url_path="$.next")
URL = "https://api.example.com/orders"


def answer(body, status=200):
    return Response(status, Headers.of({"Content-Type": "application/json"}), json.dumps(body).encode())


@dataclass
class Shop:
    """Orders by id with their lines, `size` of either on a page. `most_at_once` is how many requests were under way."""

    orders: dict[int, list[int]]
    wrong: dict[str, int] = field(default_factory=dict)
    totals: bool = False
    size: int = 2
    asked: list[str] = field(default_factory=list)
    under_way: int = 0
    most_at_once: int = 0

    async def send(self, request: Request, **_: int):
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1
        place = request.url.removeprefix("https://api.example.com/")
        self.asked.append(place)
        path, _, query = place.partition("?from=")
        if place in self.wrong:
            return answer({}, self.wrong[place])
        parts = path.split("/")
        rows = [{"id": n} for n in self.orders] if len(parts) == 1 else [{"n": n} for n in self.orders[int(parts[1])]]
        start = int(query or 0)
        more = f"?from={start + self.size}" if start + self.size < len(rows) else None
        told = {"total": len(rows)} if self.totals else {}
        return answer({"data": rows[start : start + self.size], "next": more, **told})

    def reader(self, paging=NEXT, *, ahead=4, max_pages=None, key=True, **options):
        def parent(point):
            return Reader(
                Endpoint(Request("GET", URL), "$.data", NEXT), self.send, resume_from=point, ahead=min(ahead, 1)
            )

        def rows_of(page):
            return [
                ParentRow((row["id"],) if row["id"] else None, str(row["id"]) if key else None) for row in page.rows
            ]

        def child(values, _now, point):
            request = Request("GET", f"{URL}/{values[0]}/lines")
            total = "$.total" if self.totals else None
            endpoint = Endpoint(request, "$.data", paging, total_path=total)
            return Reader(endpoint, self.send, resume_from=point, ahead=ahead)

        family = Family("orders-lines", "orders", ("orders_id",), parent, rows_of, child, max_pages)
        return ChildrenReader(family, now=1.0, **options)


async def read(reader):
    return [(row["orders_id"], row["n"]) async for page in reader.pages() for row in page.rows]


ORDERS = {1: [1, 2, 3], 2: [], 3: [4], 4: [5, 6, 7, 8, 9], 5: [10, 11]}
WHOLE = [(order, n) for order, lines in ORDERS.items() for n in lines]


@pytest.mark.parametrize("ahead", [0, 4])
@pytest.mark.parametrize("wrong", [{}, {"orders/3/lines": 404, "orders/5/lines": 410}])
async def test_a_read_goes_on_behind_each_page(ahead, wrong):
    shop = Shop(ORDERS, wrong)
    whole = shop.reader(ahead=ahead)
    taken = [(page.rows, page.checkpoint, len(shop.asked)) async for page in whole.pages()]
    for index, (_, checkpoint, _) in enumerate(taken):
        stored = Checkpoint.from_dict(json.loads(json.dumps(checkpoint.as_dict())))
        shop.asked.clear()
        rest = shop.reader(ahead=ahead, resume_from=stored)
        again = [page.rows async for page in rest.pages()]
        assert [r for rows in again for r in rows] == [r for rows, _, _ in taken[index + 1 :] for r in rows]
        assert rest.completeness == whole.completeness
        assert len(shop.asked) == len(set(shop.asked))
        assert (checkpoint.pages > 2) <= ("orders" not in shop.asked)


async def test_rows_come_in_the_order_of_the_parent_and_the_stamp_is_of_all():
    reader = Shop(ORDERS).reader()
    assert await read(reader) == WHOLE
    stamp = reader.completeness
    assert (stamp.complete, stamp.rows, stamp.parent_rows, stamp.stop_reason) == (True, 11, 5, "no_next")


async def test_what_became_of_the_parent_meanwhile_moves_no_row():
    shop = Shop(ORDERS)
    pages = shop.reader().pages()
    checkpoint = (await anext(pages)).checkpoint
    await pages.aclose()
    shop.orders = {9: [0], **ORDERS}
    assert await read(shop.reader(resume_from=checkpoint)) == [item for item in WHOLE if item not in [(1, 1), (1, 2)]]


async def test_a_checkpoint_of_another_pair_is_refused():
    shop = Shop(ORDERS)
    page = await anext(shop.reader().pages())
    other = Checkpoint.from_dict({**page.checkpoint.as_dict(), "endpoint": "else"})
    with pytest.raises(Invalid, match="something else"):
        shop.reader(resume_from=other)


async def test_first_pages_of_the_next_children_are_asked_before_their_turn_and_never_twice():
    shop = Shop({n: [n] for n in range(1, 41)}, size=20)
    assert len(await read(shop.reader())) == 40
    assert shop.most_at_once > 1
    assert len(shop.asked) == len(set(shop.asked)) == 42


async def test_a_limit_asks_for_nothing_beyond_it():
    shop = Shop(ORDERS)
    reader = shop.reader(ahead=0, max_rows=2)
    assert await read(reader) == WHOLE[:2]
    assert (reader.completeness.stop_reason, reader.completeness.truncated, reader.has_more) == ("max_rows", True, True)
    assert shop.asked == ["orders", "orders/1/lines"]


@pytest.mark.parametrize("most", range(1, 14))
async def test_a_limit_cuts_exactly(most):
    reader = Shop(ORDERS).reader(max_rows=most)
    assert await read(reader) == WHOLE[:most]
    assert reader.completeness.truncated is (most < 11)


@pytest.mark.parametrize(("most", "rows"), [(1, 2), (2, 3), (3, 3), (5, 6), (8, 11)])
async def test_a_cap_of_pages_is_over_all_children(most, rows):
    reader = Shop(ORDERS).reader(max_pages=most)
    assert len(await read(reader)) == rows
    assert (reader.completeness.complete, reader.completeness.pages) == (most == 8, most)


async def test_a_child_that_is_not_there_is_never_proof_and_all_of_them_are_a_wrong_path():
    reader = Shop(ORDERS, {"orders/3/lines": 404}).reader()
    await read(reader)
    stamp = reader.completeness
    assert (stamp.complete, stamp.not_found, stamp.note) == (
        None, 1, "1 of 5 rows of orders answered 404. Nothing was read for them."
    )  # fmt: skip
    reader = Shop(ORDERS, {f"orders/{n}/lines": 404 for n in ORDERS}).reader()
    assert await read(reader) == []
    assert (reader.completeness.complete, reader.completeness.note) == (
        False, "5 of 5 rows of orders answered 404. Check the path."
    )  # fmt: skip


async def test_404_in_the_middle_of_a_child_is_an_error_and_so_is_any_other_refusal():
    for wrong in ({"orders/4/lines?from=2": 404}, {"orders/4/lines": 403}):
        reader = Shop(ORDERS, wrong).reader()
        with pytest.raises(UpstreamError) as told:
            await read(reader)
        assert (reader.completeness.complete, reader.completeness.stop_reason) == (False, "error")
        assert told.value.details["completeness"]["rows"] == reader.completeness.rows > 2


async def test_a_parent_whose_list_moved_is_not_read_for_twice_and_no_value_is_counted():
    shop = Shop({1: [1], 2: [2], 0: [], 3: [3]})

    async def rows():
        reader = shop.reader()
        async for page in reader.pages():
            yield reader, page
            shop.orders = {7: [7], **shop.orders} if len(shop.orders) < 5 else shop.orders

    taken = [(reader, page.rows) async for reader, page in rows()]
    assert [row["orders_id"] for _, found in taken for row in found].count(2) == 1
    assert taken[-1][0].completeness.without_value == 1


async def test_totals_are_added_up_and_a_missed_one_is_told():
    shop = Shop(ORDERS, totals=True)
    reader = shop.reader()
    await read(reader)
    assert (reader.completeness.complete, reader.completeness.reported_total) == (True, 11)
    short = reader.completeness.less(1, 0, paging=True)
    assert (short.complete, short.note) == (False, "The API reported 11 rows and 10 came.")


async def test_a_full_page_is_suspected_only_where_no_child_is_larger():
    def lines(*sizes):
        return Shop({n: list(range(size)) for n, size in enumerate(sizes, 1)})

    async def stamp(shop):
        send = shop.send

        async def whole(request, **_):
            found = await send(request)
            if "/lines" in request.url:
                order = int(request.url.split("/")[-2])
                found = answer({"data": [{"n": n} for n in shop.orders[order]]})
            return found

        shop.send = whole
        reader = shop.reader(NoPagination())
        await read(reader)
        return reader.completeness

    assert (await stamp(lines(10, 37))).complete is True
    found = await stamp(lines(10, 3))
    assert (found.complete, "the largest has exactly 10 rows" in found.note) == (False, True)


async def test_a_parent_without_rows_gives_one_page_without_rows():
    reader = Shop({}).reader()
    assert [page.rows async for page in reader.pages()] == [[]]
    assert (reader.completeness.complete, reader.completeness.parent_rows) == (True, 0)


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b'[{"a":1},{}]', b'[{"p":7,"a":1},{"p":7}]'),
        (b'[ { } , {"a" : 1.50} ]', b'[{"p":7},{"p":7,"a" : 1.50}]'),
        (b"[]", b"[]"),
        (b'[{"p":1}]', None),
        (b'[{"\\u0070":1}]', None),
        (b'[{"x":{"p":1}}]', b'[{"p":7,"x":{"p":1}}]'),
        (b"[1]", None),
        (b"[{]", None),
    ],
)
def test_keys_go_into_the_text_where_no_field_is_called_so(raw, found):
    assert put_into(raw, {"p": 7}) == found


def test_a_field_of_the_same_name_gets_another_that_is_free():
    assert with_keys({"p": 1, "p_2": 2}, {"p": 7}) == {"p": 7, "p_3": 1, "p_2": 2}
    assert with_keys(5, {"value": 7}) == {"value": 7, "value_2": 5}
