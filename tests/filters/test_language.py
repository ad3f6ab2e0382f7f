import numpy as np
import pyarrow as pa
import pytest
from bmtool.config.model import ValidationError, validate
from bmtool.data.text.documents import Documents
from bmtool.data.text.languages import VARIANTS, language_shares
from bmtool.errors import ConfigError
from bmtool.filters.language import LANGUAGES, Language
from bmtool.runner.pipeline import load_pipeline

pytest.importorskip("py3langid")

SENTENCES = {
    "en": "The quick brown fox jumps over the lazy dog while the farmer is asleep.",
    "de": "Der schnelle braune Fuchs springt über den faulen Hund, während der Bauer schläft.",
    "fr": "Le renard brun et rapide saute par-dessus le chien paresseux pendant que le fermier dort.",
    "es": "El rápido zorro marrón salta sobre el perro perezoso mientras el granjero duerme.",
    "it": "La veloce volpe marrone salta sopra il cane pigro mentre il contadino dorme.",
    "pt": "A rápida raposa marrom pula sobre o cachorro preguiçoso enquanto o fazendeiro dorme.",
    "nl": "De snelle bruine vos springt over de luie hond terwijl de boer slaapt.",
    "pl": "Szybki brązowy lis przeskakuje nad leniwym psem, podczas gdy rolnik śpi.",
    "ru": "Быстрая коричневая лиса прыгает через ленивую собаку, пока фермер спит.",
    "tr": "H\u0131zl\u0131 kahverengi tilki, çiftçi uyurken tembel köpeğin üzerinden atlar.",
    "ar": "الثعلب البني السريع يقفز فوق الكلب الكسول بينما المزارع نائم.",
    "hi": "तेज़ भूरी लोमड़ी आलसी कुत्ते के ऊपर से कूदती है जबकि किसान सो रहा है।",
    "zh": "敏捷的棕色狐狸跳过了懒狗\uff0c而农夫正在睡觉。",
    "ja": "農夫が眠っている間に、素早い茶色の狐が怠け者の犬を飛び越えます。",
    "ko": "농부가 자는 동안 빠른 갈색 여우가 게으른 개를 뛰어넘습니다.",
    "th": "สุนัขจิ้งจอกสีน้ำตาลว่องไวกระโดดข้ามสุนัขขี้เกียจในขณะที่ชาวนานอนหลับ",
}


def shares(texts, max_bytes=1_000):
    return language_shares(pa.array(texts, pa.string()), max_bytes)


def test_sixteen_languages_are_told():
    probabilities, names = shares(list(SENTENCES.values()))

    assert [names[best] for best in probabilities.argmax(axis=1)] == list(SENTENCES)


def test_the_answers_are_those_of_py3langid():
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    peer = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    texts = [*SENTENCES.values(), "ok", "", "LOUD ENGLISH WORDS ARE HERE", "12345", "e\u0301te\u0301"]
    probabilities, names = shares(texts)

    for row, text in zip(probabilities, texts, strict=True):
        theirs = dict(peer.rank(text))
        for variant, name in VARIANTS.items():
            theirs[name] += theirs[variant]
        assert row == pytest.approx(np.array([theirs[name] for name in names]), abs=1e-4)


def test_documents_in_other_languages_go_with_their_score():
    judge = Language(keep=("en", "zh"))

    verdict = judge.judge(Documents(pa.array(list(SENTENCES.values()))))

    stays = [name for name, rule in zip(SENTENCES, verdict.rule, strict=True) if rule < 0]
    assert stays == ["en", "zh"]
    assert judge.rules() == ("min_score",)
    assert (verdict.value[verdict.rule == 0] < 0.5).all()
    assert (verdict.threshold[verdict.rule == 0] == 0.5).all()


def test_only_the_beginning_counts_and_no_character_is_cut():
    text = SENTENCES["zh"] + SENTENCES["en"] * 20

    for max_bytes in (40, 41, 42):
        assert shares([text], max_bytes)[0] == pytest.approx(shares([SENTENCES["zh"][: max_bytes // 3]])[0])


def test_the_answer_does_not_depend_on_the_batch():
    together = shares(list(SENTENCES.values()))[0]

    for row, text in zip(together, SENTENCES.values(), strict=True):
        assert (shares([text])[0][0] == row).all()


def test_an_unknown_language_is_named():
    with pytest.raises(ValidationError, match=r"unknown language 'zh-CN'\. Known: ace, af, am,"):
        validate(Language, {"keep": ["en", "zh-CN"]})


def test_the_languages_are_those_of_the_model():
    assert frozenset(language_shares(pa.array(["a"]), 1)[1]) == LANGUAGES


def test_the_model_is_a_file_that_decides():
    [(name, path)] = Language(keep=("en",)).files()

    assert name == "py3langid/model.npz.xz"
    assert path.is_file()


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr("bmtool.data.text.languages.find_spec", lambda name: None)

    with pytest.raises(ConfigError) as error:
        Language(keep=("en",)).files()

    assert str(error.value) == (
        "the filter 'language' needs the extra 'language'. Install it: "
        'pip install "bmtool-pipeline[language]", or from a checkout: pip install -e ".[language]"'
    )


@pytest.mark.parametrize(
    "settings", [{}, {"keep": []}, {"keep": ["en"], "min_score": 0}, {"keep": ["en"], "max_bytes": 0}]
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValidationError):
        validate(Language, settings)


def test_another_tools_name_for_the_kept_languages_is_answered_with_ours(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(
        "version: 1\nname: x\nprepare: {d: {sources: a.csv, filters: [{type: language, languages: [th]}]}}\n"
    )

    with pytest.raises(ConfigError) as error:
        load_pipeline(path)

    assert str(error.value) == f"{path}:3:58: prepare.d.filters[0].languages: unknown setting. Did you mean 'keep'?"
