from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from supervisor.timing.agenda import NOTICED_A_TURN, SLACK, Agenda, Due, Entry
from supervisor.timing.clock import Moment
from tests.fakes import NOON


def entry(seconds: float, job_id: str = "a", jitter: float = 0) -> Entry:
    occurrence = NOON + timedelta(seconds=seconds)
    return Entry(occurrence + timedelta(seconds=jitter), job_id, occurrence)


def agenda_of(*entries: Entry) -> Agenda:
    agenda = Agenda()
    for one in entries:
        agenda.put(one)
    return agenda


def taken(agenda: Agenda, now: Moment | int, most: int) -> list[Entry]:
    agenda.notice(moment(now) if isinstance(now, int) else now)
    return [due.entry for due in agenda.take_due(most)]


def in_seconds(number: float) -> datetime:
    return NOON + timedelta(seconds=number)


def moment(wall: float, mono: float = 0) -> Moment:
    """Seconds of either clock, each from a start of its own."""
    return Moment(in_seconds(wall), mono)


def test_what_is_due_comes_out_earliest_first_and_once() -> None:
    agenda = agenda_of(entry(3, "c"), entry(1, "a"), entry(2, "b"), entry(9, "d"))
    assert [one.job_id for one in taken(agenda, 3, 99)] == ["a", "b", "c"]
    assert taken(agenda, 3, 99) == []
    assert agenda.next_due() == in_seconds(9)


def test_a_herd_comes_out_in_parts() -> None:
    agenda = agenda_of(*(entry(0, f"job-{number}") for number in range(5)))
    parts = [[one.job_id for one in taken(agenda, 0, 2)] for _ in range(3)]
    assert parts == [["job-0", "job-1"], ["job-2", "job-3"], ["job-4"]]


def test_jitter_moves_when_to_act_not_the_occurrence() -> None:
    agenda = agenda_of(entry(1, "a", jitter=5), entry(2, "b"))
    assert [one.job_id for one in taken(agenda, 4, 99)] == ["b"]
    assert agenda.next_due() == in_seconds(6)
    assert taken(agenda, 6, 99)[0].occurrence == in_seconds(1)


def test_a_job_has_one_entry_the_last_one() -> None:
    agenda = agenda_of(entry(1), entry(5), entry(3))
    assert agenda.of("a") == entry(3)
    assert taken(agenda, 9, 99) == [entry(3)]
    assert agenda.next_due() is None


def test_an_equal_entry_that_was_replaced_does_not_come_twice() -> None:
    agenda = agenda_of(entry(1), entry(1))
    assert taken(agenda, 1, 99) == [entry(1)]


def test_a_dropped_job_does_not_come_up() -> None:
    agenda = agenda_of(entry(1), entry(2, "b"))
    agenda.drop("a")
    agenda.drop("never heard of")
    assert agenda.next_due() == in_seconds(2)
    assert [one.job_id for one in taken(agenda, 2, 99)] == ["b"]


def test_ten_thousand_edits_of_one_job_do_not_pile_up() -> None:
    agenda = agenda_of(*(entry(10_000 - number) for number in range(10_000)))
    assert len(agenda._entries._heap) <= SLACK + 3
    assert taken(agenda, 10_000, 99) == [entry(1)]


def test_what_is_set_aside_comes_back_by_the_clock_that_nobody_sets() -> None:
    agenda = agenda_of(entry(5, "b"))
    agenda.set_aside(entry(1, jitter=1), 12.5)
    assert (agenda.next_due(), agenda.next_again(), agenda.earliest()) == (in_seconds(5), 12.5, in_seconds(2))
    assert agenda.of("a") == entry(1, jitter=1)
    assert taken(agenda, moment(wall=4, mono=12.4), 99) == []
    assert taken(agenda, moment(wall=4, mono=12.5), 99) == [entry(1, jitter=1)]
    assert (agenda.of("a"), agenda.next_again(), agenda.earliest()) == (None, None, in_seconds(5))


def test_what_comes_back_takes_its_turn_and_waits_until_it_is_due() -> None:
    agenda = agenda_of(entry(2, "b"))
    agenda.set_aside(entry(1), 10.0)
    agenda.set_aside(entry(9, "c"), 10.0)
    assert [taken(agenda, moment(wall=3, mono=10), 1) for _ in range(3)] == [[entry(1)], [entry(2, "b")], []]
    assert (agenda.next_due(), agenda.next_again()) == (in_seconds(9), None)


def test_what_is_set_aside_is_forgotten_when_something_else_is_put_or_dropped_or_set_aside() -> None:
    agenda = Agenda()
    for job_id in "abc":
        agenda.set_aside(entry(1, job_id), 10.0)
    agenda.put(entry(3, "a"))
    agenda.drop("b")
    agenda.set_aside(entry(2, "c"), 20.0)
    assert (agenda.of("a"), agenda.of("b"), agenda.of("c")) == (entry(3, "a"), None, entry(2, "c"))
    assert agenda.next_again() == 20.0
    assert taken(agenda, moment(wall=9, mono=19), 99) == [entry(3, "a")]
    assert taken(agenda, moment(wall=9, mono=20), 99) == [entry(2, "c")]


def test_setting_aside_takes_the_place_of_what_was_put() -> None:
    agenda = agenda_of(entry(5))
    agenda.set_aside(entry(1), 10.0)
    assert (agenda.next_due(), taken(agenda, moment(wall=9, mono=9), 99)) == (None, [])
    assert taken(agenda, moment(wall=9, mono=10), 99) == [entry(1)]
    assert taken(agenda, moment(wall=9, mono=10), 99) == []


def test_a_job_that_is_set_aside_ten_thousand_times_does_not_pile_up() -> None:
    agenda = Agenda()
    for number in range(10_000):
        agenda.set_aside(entry(1), 10_000.0 - number)
    assert len(agenda._aside._heap) <= SLACK + 3
    assert agenda.next_again() == 1.0


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("put"), st.sampled_from("abcdef"), st.integers(0, 50), st.just(0)),
            st.tuples(st.just("set aside"), st.sampled_from("abcdef"), st.integers(0, 50), st.integers(0, 50)),
            st.tuples(st.just("drop"), st.sampled_from("abcdef"), st.just(0), st.just(0)),
            st.tuples(st.just("notice"), st.just(""), st.integers(0, 50), st.integers(0, 50)),
            st.tuples(st.just("take"), st.just(""), st.just(0), st.integers(1, 4)),
        ),
        max_size=200,
    )
)
def test_it_behaves_as_plain_dictionaries_would(steps: list[tuple[str, str, int, int]]) -> None:
    agenda, plain, aside, noticed = Agenda(), dict[str, Entry](), dict[str, int](), dict[str, Due]()
    for what, job_id, number, mono in steps:
        if what == "notice":
            agenda.notice(moment(number, mono))
            aside = {job_id: until for job_id, until in aside.items() if until > mono}
            early = {job_id: one.entry for job_id, one in noticed.items() if one.entry.due > in_seconds(number)}
            plain, noticed = plain | early, {job_id: one for job_id, one in noticed.items() if job_id not in early}
            due = sorted(one for one in plain.values() if one.due <= in_seconds(number) and one.job_id not in aside)
            noticed |= {one.job_id: Due(one, in_seconds(number)) for one in due}
            plain = {job_id: one for job_id, one in plain.items() if job_id not in noticed}
        elif what == "take":
            wanted = list(noticed.values())[:mono]
            assert agenda.take_due(mono) == wanted
            noticed = dict(list(noticed.items())[mono:])
        else:
            for each in (plain, aside, noticed):
                each.pop(job_id, None)
        if what == "drop":
            agenda.drop(job_id)
        elif what == "put":
            agenda.put(entry(number, job_id))
            plain[job_id] = entry(number, job_id)
        elif what == "set aside":
            agenda.set_aside(entry(number, job_id), mono)
            plain[job_id], aside[job_id] = entry(number, job_id), mono
        dues = [one.entry.due for one in noticed.values()]
        coming = min((one.due for one in plain.values() if one.job_id not in aside), default=None)
        assert agenda.next_due() == (dues[0] if dues else coming)
        assert agenda.next_again() == min(aside.values(), default=None)
        known = plain | {job_id: one.entry for job_id, one in noticed.items()}
        assert {job_id: agenda.of(job_id) for job_id in "abcdef"} == {job_id: known.get(job_id) for job_id in "abcdef"}


def test_what_waits_for_its_turn_was_noticed_when_it_was_seen_first_and_is_the_earliest() -> None:
    agenda = agenda_of(*(entry(0, f"job-{number}") for number in range(3)), entry(5, "late"))
    agenda.notice(moment(1))
    assert [due.noticed for due in agenda.take_due(1)] == [in_seconds(1)]
    agenda.notice(moment(6))
    assert (agenda.next_due(), agenda.earliest()) == (NOON, NOON)
    assert [(due.entry.job_id, due.noticed) for due in agenda.take_due(9)] == [
        ("job-1", in_seconds(1)),
        ("job-2", in_seconds(1)),
        ("late", in_seconds(6)),
    ]


def test_a_turn_notices_a_bounded_number_and_the_next_one_goes_on() -> None:
    agenda = agenda_of(*(entry(0, f"{number:05}") for number in range(NOTICED_A_TURN + 1)))
    assert [len(taken(agenda, 1, 9999)), len(taken(agenda, 2, 9999))] == [NOTICED_A_TURN, 1]


def test_a_clock_that_is_set_back_makes_what_was_noticed_come_again_after_what_is_before_it() -> None:
    agenda = agenda_of(entry(10, "a"), entry(60, "b"), entry(61, "c"))
    assert taken(agenda, 70, 0) == []
    agenda.put(entry(30, "early"))
    assert taken(agenda, 20, 1) == [entry(10, "a")]
    assert agenda.next_due() == in_seconds(30)
    assert taken(agenda, 59, 99) == [entry(30, "early")]
    agenda.notice(moment(60))
    assert agenda.take_due(99) == [Due(entry(60, "b"), in_seconds(60))]
    assert agenda.next_due() == in_seconds(61)
