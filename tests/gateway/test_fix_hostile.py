"""Whatever a client sends, the gateway does not raise, and what it says stays well-formed."""

from __future__ import annotations

import random

from fix_script import ScriptPlayer
from hypothesis import given, settings
from hypothesis import strategies as st

LOGON = "35=A|34=1|98=0|108=30"
NOW = "20240102-09:30:00"
ORDER = f"11=a|55=AAPL|54=1|38=100|40=2|44=100.00|60={NOW}"
BODIES = [
    "98=0|108=30", "98=0|108=30|141=Y", "98=0|108=30|789=1", "98=0|108=30|8013=Y",
    "98=0|108=30|1137=9", "98=0|108=30|1137=9|141=Y", "95=2|96=x|98=0|108=30", "112=x",
    "7=1|16=0", "7=2|16=1", "45=1", "123=Y|36=9", "36=3", "36=9999999999", "58=bye", ORDER,
    f"41=a|{ORDER}",
    f"41=a|11=b|55=AAPL|54=1|60={NOW}", "11=a|55=AAPL|54=1", ORDER.replace("100.00", "1.23456"),
    ORDER.replace("38=100", "38=-5"), ORDER.replace("38=100", "38=" + "9" * 5_000), "",
    ORDER.replace("44=100.00", "44=" + "0" * 4_500), ORDER.replace("11=a", "11=" + "a" * 100),
]  # fmt: skip
MSG_TYPES = ["A", "0", "1", "2", "3", "4", "5", "D", "F", "G", "H", "8", "9", "j", "AF", "ZZ", ""]
SEQS = ["-", "0", "1", "2", "3", "4", "5", "9", "9999999999", "99999999999", "x", "-1"]
HEADERS = ["", "", "", "|43=Y", f"|43=Y|122={NOW}", f"|52={NOW}", "|52=-", "|52=nonsense",
           "|49=CLIENT2", "|56=-", "|97=Y", "|8=FIX.4.2", "|8=FIXT.1.1", "|8=FIX.4.1",
           "|10=000", "|9=7"]  # fmt: skip


@st.composite
def messages(draw):
    body = draw(st.sampled_from(BODIES))
    text = f"35={draw(st.sampled_from(MSG_TYPES))}|34={draw(st.sampled_from(SEQS))}"
    text += draw(st.sampled_from(HEADERS))
    return f"{text}|{body}" if body else text


@settings(max_examples=60)
@given(st.lists(messages(), max_size=12), st.booleans(), st.integers(0, 2**32))
def test_any_sequence_of_messages_is_survived(tmp_path_factory, lines, logs_on, seed):
    player = ScriptPlayer(tmp_path_factory.mktemp("fix"))
    chance = random.Random(seed)
    player._set("max_messages_per_s", chance.choice(("0", "0", "2")))
    if chance.random() < 0.5:
        player._set_schedule("09:30:02", "09:30:02", "reset")
    for line in [LOGON, *lines] if logs_on else lines:
        data = player.message("1", line)
        if chance.random() < 0.2:  # some of them are cut or changed
            position = chance.randrange(len(data))
            data = data[:position] + bytes([chance.randrange(256)]) + data[position + 1 :]
        player.send("1", data)
        player._settle()
        if chance.random() < 0.1:
            player.kill()
        if chance.random() < 0.2:
            player._advance(chance.randrange(3) * 10**9)
    player._set("max_messages_per_s", "0")
    # The exchange still serves others, and lets this client in again.
    player.play(["2-> 35=A|34=1|98=0|108=30", f"2-> 35=D|34=2|{ORDER}"])
    assert any(line.startswith("2<- 35=8") for line in player.output)
    player.cluster.machine.check_invariants()


@given(st.binary(max_size=300))
def test_any_bytes_before_the_logon_are_survived(tmp_path_factory, data):
    player = ScriptPlayer(tmp_path_factory.mktemp("fix"))
    player.send("1", data)
    player._settle()
    player.play(["2-> 35=A|34=1|98=0|108=30"])
    assert player.output[-1] == "2<- 35=A|34=1|98=0|108=30"


def test_numbers_that_do_not_exist_are_refused(tmp_path):
    player = ScriptPlayer(tmp_path)
    player.play(["-> 35=A|34=1|98=0|108=30", "-> 35=0|34=99999999999"])
    assert "more than 10 digits" in player.output[-2]


def test_resends_longer_than_one_step_are_whole_and_in_order(tmp_path):
    player = ScriptPlayer(tmp_path)
    player.play(["-> 35=A|34=1|98=0|108=30"])
    for seq in range(2, 1_300):
        body = f"11={seq}|55=AAPL|54=1|38=1|40=2|44=99.00|60={NOW}"
        player.send("1", player.message("1", f"35=D|34={seq}|{body}"))
    player._settle()
    player.output.clear()
    player.play(["-> 35=2|34=1300|7=1|16=0"])
    seqs = [line.split("|")[1] for line in player.output[1:]]
    assert seqs == [f"34={seq}" for seq in range(1, 1_300)]
    assert player.output[1].endswith("|123=Y|36=2")
    assert all("43=Y" in line for line in player.output[1:])


def test_a_client_that_asks_again_and_again_is_logged_out(tmp_path):
    player = ScriptPlayer(tmp_path)
    player.play(["-> 35=A|34=1|98=0|108=30"])
    requests = b"".join(player.message("1", f"35=2|34={seq}|7=1|16=0") for seq in range(2, 40))
    player.send("1", requests)
    player._settle()
    assert "ResendRequests come faster" in player.output[-2]
    assert player.output[-1] == "disconnected"


def test_who_says_nothing_gives_way_to_newer_connections(tmp_path):
    player = ScriptPlayer(tmp_path)
    player._set("max_connections", "2")
    for name in ("1", "1b", "1c", "1d"):
        player.connect(name)
    player.play(["2-> 35=A|34=1|98=0|108=30"])
    assert player.output == [
        "2-> 35=A|34=1|98=0|108=30",
        "2<- 35=A|34=1|98=0|108=30",
        "disconnected",
        "1bdisconnected",
        "1cdisconnected",
    ]
    player.connect("1e")
    player.play(["1-> 35=A|34=1|98=0|108=30"])
    assert player.output[-3:] == ["<- 35=A|34=1|98=0|108=30", "1ddisconnected", "1edisconnected"]


def test_connections_that_are_logged_on_give_way_to_nobody(tmp_path):
    player = ScriptPlayer(tmp_path)
    player._set("max_connections", "1")
    player.play(["-> 35=A|34=1|98=0|108=30"])
    player.connect("1b")
    player._settle()
    assert player.output[-1] == "1bdisconnected"
    assert "1" in player.transports


def test_an_answer_repeats_nothing_that_nobody_has_checked(tmp_path, caplog):
    player = ScriptPlayer(tmp_path)
    player.play(["-> 35=A|34=1|98=0|108=30", "-> 35=E|34=2|11=ok"])
    assert "|379=ok|" in player.output[-1]
    player.play(["-> 35=E|34=3|11=\x1b[2J\xe9"])
    assert player.output[-1].startswith("<- 35=j|34=3|45=3|372=E|380=3|")
    player.play(["-> 35=E|34=4|43=Y|122=\x1b\n"])
    assert "122|372=E|373=6|58=OrigSendingTime(122) '??' is not" in player.output[-1]
    player.play(["-> 35=j|34=5|45=2|372=D|380=0|354=3|355=a\nb|58=why"])
    assert caplog.messages[-1] == "CLIENT1 rejects message 2: 'why'"


def order(seq):
    return f"35=D|34={seq}|11={seq}|55=AAPL|54=1|38=1|40=2|44=99.00|60={NOW}"


def test_what_was_never_on_the_socket_is_not_resent_and_then_sent(tmp_path):
    player = ScriptPlayer(tmp_path)
    player.play(["-> 35=A|34=1|98=0|108=30", f"-> {order(2)}"])
    connection = player.order_entry.sessions["CLIENT1"].connection
    connection.pause_writing()
    player.play([f"-> {order(3)}", "-> 35=2|34=4|7=1|16=0", "-> 35=2|34=5|7=3|16=3"])
    player.output.clear()
    connection.resume_writing()
    player._settle()
    assert [line.split("|")[1:3] for line in player.output] == [
        ["34=1", "43=Y"],
        ["34=2", "43=Y"],
        ["34=3", "37=2"],
    ]


def test_an_order_behind_too_many_resend_requests_is_not_lost(tmp_path):
    player = ScriptPlayer(tmp_path)
    player.play(["-> 35=A|34=1|98=0|108=30"])
    player.order_entry.sessions["CLIENT1"].connection.pause_writing()
    requests = [f"-> 35=2|34={seq}|7=1|16=0" for seq in range(2, 19)]
    early = f"-> {order(19)}"
    player.play([*requests[:-1], early, requests[-1], "-> 35=A|34=20|98=0|108=30"])
    assert "disconnected" in player.output
    assert player.output[-1].startswith("<- 35=A"), "no gap: the order has used up its number"
    assert [command[4] for command in player.cluster.commands if command[0] == 1] == ["19"]


def test_a_thousand_lists_of_books_behind_a_gap_are_survived(tmp_path):
    player = ScriptPlayer(tmp_path)
    player.play(["-> 35=A|34=1|98=0|108=30", "hold"])
    symbols = "|".join(f"55=S{number}" for number in range(50))
    for seq in range(3, 1_003):
        body = f"262={seq}|263=0|264=0|267=1|269=0|146=50|{symbols}"
        player.send("1", player.message("1", f"35=V|34={seq}|{body}"))
    player.play(["-> 35=0|34=2", "auto"])
    refused = [line for line in player.output if "books are being answered" in line]
    assert len(refused) == 999
    assert len([line for line in player.output if line.startswith("<- 35=Y")]) == 50


def test_a_list_that_goes_on_after_a_reset_leaves_no_number_of_before(tmp_path):
    player = ScriptPlayer(tmp_path)
    player.play(["-> 35=A|34=1|98=0|108=30"])
    for seq in range(2, 1_203):
        player.send("1", player.message("1", order(seq)))
    player._settle()
    player.play(["hold", "-> 35=AF|34=1203|584=all|585=7", "-> 35=A|34=1|98=0|108=30|141=Y"])
    player.play(["auto", "advance 1", "drop", "-> 35=A|34=2|98=0|108=30"])
    assert player.output[-1].startswith("<- 35=A")
    listed = [line for line in player.output if "|584=all|" in line and line.startswith("<-")]
    assert len(listed) == 1_201
    assert "|912=Y|" in listed[-1]
