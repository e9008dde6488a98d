import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchgear.hardware.errors import BadFigure
from switchgear.hardware.power import (
    CONTINUOUS_LOAD_FACTOR,
    Host,
    PowerModel,
    board_w,
    clock_under,
    provisioned_w,
    wall_w,
)

BOARD = PowerModel(idle_w=50, arithmetic_w=300, memory_w=150, limit_w=400)
HOST = Host(boards=4, idle_w=200, busy_w=400)
fractions = st.floats(0, 1)


def test_the_five_powers_by_hand() -> None:
    assert board_w(BOARD, 0, 0) == 50
    assert board_w(BOARD, 0.5, 1) == 350
    assert board_w(BOARD, 1, 1) == 400, "held at the limit"
    assert wall_w(Host(supply_w=1000, supply_efficiency=((0.2, 0.9), (0.5, 0.94), (1.0, 0.91))), BOARD, 350, 0) == (
        pytest.approx(350 / 0.92)
    )
    assert provisioned_w(HOST, BOARD) == pytest.approx(CONTINUOUS_LOAD_FACTOR * 2000 / 0.91)


@given(fractions, fractions, fractions, fractions)
def test_more_work_and_a_higher_clock_never_draw_less(low: float, high: float, memory: float, clock: float) -> None:
    less, more = sorted((low, high))
    assert board_w(BOARD, less, memory, clock) <= board_w(BOARD, more, memory, clock)
    assert board_w(BOARD, more, memory, clock) <= board_w(BOARD, more, memory, 1.0)


@given(fractions, fractions, st.floats(201, 600))
def test_the_clock_under_a_limit_keeps_it(arithmetic: float, memory: float, limit_w: float) -> None:
    clock = clock_under(BOARD, arithmetic, memory, limit_w)
    free = msgspec.structs.replace(BOARD, limit_w=1e6)
    assert board_w(free, arithmetic, memory, clock) <= limit_w * (1 + 1e-9)
    assert clock == 1 or board_w(free, arithmetic, memory, clock) == pytest.approx(limit_w)


@given(st.floats(0, 1600), fractions)
def test_the_socket_gives_more_than_the_boards_take_and_less_than_is_provisioned(boards_w: float, busy: float) -> None:
    wall = wall_w(HOST, BOARD, boards_w, busy)
    assert boards_w < wall < provisioned_w(HOST, BOARD)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"idle_w": -1.0}, r"idle_w is -1\.0; give a finite number of watts that is not negative"),
        ({"limit_w": 0.0}, r"limit_w is 0\.0; give a finite number of watts above zero"),
        ({"limit_w": float("nan")}, "limit_w is nan"),
        ({"idle_w": 500.0}, r"at most limit_w \(400 W\)"),
        ({"clock_exponent": 5.0}, "clock_exponent"),
    ],
)
def test_nonsense_is_refused_with_the_remedy(fields: dict[str, float], message: str) -> None:
    with pytest.raises(BadFigure, match=message):
        PowerModel(**{**msgspec.structs.asdict(BOARD), **fields})


def test_supplies_that_cannot_be_are_refused() -> None:
    with pytest.raises(BadFigure, match="supply_efficiency is 0"):
        Host(supply_efficiency=((0.5, 0.0),))
    with pytest.raises(BadFigure, match="ascending"):
        Host(supply_efficiency=((0.5, 0.9), (0.2, 0.9)))
    with pytest.raises(BadFigure, match="power supplies of at least 500 W"):
        wall_w(Host(supply_w=300), BOARD, 500, 0)
    with pytest.raises(BadFigure, match=r"arithmetic is 1\.5; give a fraction from 0 to 1"):
        board_w(BOARD, 1.5, 0)
