"""Which answers ask us to stop: the whole of it one of the words, in any spelling; never a word inside a sentence."""

import pytest

from campaigns.opt_out import OPT_OUT_WORDS, is_opt_out

MORE = ("BAJA", "Arrêt", "АБМЕНА", "إلغاء", "停止", "बंद करो", "หยุด", "İPTAL", "no more")


@pytest.mark.parametrize("word", OPT_OUT_WORDS)
def test_words_of_twilio_are_known_in_any_case(word: str) -> None:
    assert is_opt_out(word)
    assert is_opt_out(word.lower())
    assert is_opt_out(f"  {word.title()}. ")


@pytest.mark.parametrize(
    "text",
    [
        "Stop!!!",
        "“STOP”",
        "STOP 🛑✋🏽",
        "\n\tstop\r\n",
        "ＳＴＯＰ",
        "stóp",
        "ST\u200bOP",
        "\ufeffSTOP\u200e",
        "*stop*",
        "¡Stop!",
        "unsubscrıbe",
        "STOP" + " " * 1500,
    ],
)
def test_marks_spaces_and_accents_make_no_difference(text: str) -> None:
    assert is_opt_out(text)


@pytest.mark.parametrize(
    "text",
    [
        "baja",
        "Bája.",
        "arret",
        "ARRÊT",
        "абмена",
        "إِلْغَاء",
        "停止。",
        "「停止」",
        "बंद करो!",
        "หยุด",
        "iptal",
        "İptal",
        "IPTAL",
        "No  More",
    ],
)
def test_own_words_are_known_in_any_script(text: str) -> None:
    assert is_opt_out(text, MORE)
    assert not is_opt_out(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "🛑",
        "!!!",
        "Please don't stop",
        "stop it",
        "Stop, please",
        "stopp",
        "nonstop",
        "The end",
        "Can I cancel my appointment?",
        "STOP\nSTART",
        "S T O P",
        "बद करो",
        "no",
        "STOP" * 100_000,
        " " * 1_000_000 + "STOP",
    ],
)
def test_anything_else_is_an_answer(text: str) -> None:
    assert not is_opt_out(text, MORE)


def test_empty_words_match_nothing() -> None:
    assert not is_opt_out("", ("", "!"))
    assert not is_opt_out("?!", ("", "!"))
