"""Tables and picture of what_leads_grokking.md, from examples/measured: ``python docs/evidence/leads.py``."""

from __future__ import annotations

import re
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd

matplotlib.use("svg")
import matplotlib.pyplot as plt

from probes.leads import CONTROL, lead_over_seeds

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "examples"))

from answers.modular_addition_modes import beside  # noqa: E402
from answers.modular_addition_modes import changes as changes_of  # noqa: E402

MEASURED = ROOT / "examples" / "measured"
PAGE = Path(__file__).with_name("what_leads_grokking.md")
PICTURE = ROOT / "docs" / "images" / "what_leads.svg"
WINDOWS = ("after memorisation", "whole run")
ORDER = ("p53", "p113", "mlp", "digits", "parity", "toy")
COLOURS = {"leads": "#009E73", "undecided": "#c8cdd3", "follows": "#D55E00"}
STYLE: dict[Any, Any] = {"svg.hashsalt": "interp", "svg.fonttype": "none", "font.size": 8}
HEAD = (
    "| measure | leads / undecided / follows | lead in steps | in delays | explained | leads if shuffled | tied | verdict |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- |"
)


@cache
def changes() -> pd.DataFrame:
    """A row per run, network, window and measure."""
    return pd.read_csv(MEASURED / "what_leads.csv", keep_default_na=True).fillna({"where": ""})


@cache
def runs() -> pd.DataFrame:
    """What was measured, by name of the case, in the order of the page."""
    table = pd.read_csv(MEASURED / "what_leads_runs.csv").set_index("run")
    return table.loc[[name for name in ORDER if name in table.index]]


def compared() -> list[str]:
    """The cases in which some network generalises, so that there is something to lead."""
    return [str(run) for run, row in runs().iterrows() if row["generalised"]]


@cache
def leads(run: str, window: str) -> pd.DataFrame:
    """A row per measure of a case, by measure and where, sorted by its lead."""
    own = changes().query("run == @run and window == @window")
    return lead_over_seeds(own).set_index(["measure", "where"])


def name(key: tuple[str, str]) -> str:
    """A measure in words."""
    return f"{key[0].replace('_', ' ')} {f'({key[1]})' if key[1] else ''}".strip()


def rows(run: str, window: str) -> str:
    """The Markdown table of a case."""
    told = [HEAD]
    for row in leads(run, window).reset_index().to_dict("records"):
        key = row["measure"], row["where"]
        tied = "" if pd.isna(row["tied"]) else f"{row['tied']:+.2f}"
        cells = (
            name(key), f"{row['leads']} / {row['undecided']} / {row['follows']}",
            f"{row['lead']:+,.0f} [{row['lead_low']:+,.0f}, {row['lead_high']:+,.0f}]",
            "" if pd.isna(row["delays"]) else f"{row['delays']:+.2f} [{row['delays_low']:+.2f}, {row['delays_high']:+.2f}]",
            f"{row['explained']:.2f}", "" if pd.isna(row["shuffled"]) else f"{row['shuffled']:.0%}", tied, row["verdict"],
        )  # fmt: skip
        told.append(f"| {' | '.join(cells)} |")
    return "\n".join(told)


def measured() -> str:
    """The Markdown table of what was run."""
    told = [
        "| case | networks | generalise | steps | checkpoints | CPU s to measure |\n| --- | --- | --- | --- | --- | --- |"
    ]
    for run, row in runs().iterrows():
        cells = f"{row['networks']} | {row['generalised']} | {row['steps']:,} | {row['checkpoints']} | {row['cpu_s']}"
        told.append(f"| {run}: {row['what']} | {cells} |")
    return "\n".join(told)


def counts(run: str, window: str, verdict: str) -> list[str]:
    """The measures of a case with a verdict, controls left out."""
    table = leads(run, window)
    return [
        name((row["measure"], row["where"]))
        for row in table.reset_index().to_dict("records")
        if row["verdict"] == verdict and row["measure"] != CONTROL
    ]


def summary() -> str:
    """Per case and window, which measures lead, follow and are gradual, in words."""
    told = []
    for run in compared():
        for window in WINDOWS:
            table = leads(run, window).drop(index=CONTROL, level=0)
            named = {
                verdict: ", ".join(counts(run, window, verdict)) or "none"
                for verdict in ("leads", "follows", "gradual")
            }
            told.append(
                f"- **{run}, {window}** ({len(table)} measures): lead {named['leads']}; follow {named['follows']}; gradual "
                f"{named['gradual']}; all others undecided."
            )
    return "\n".join(told)


def line(run: str, window: str, measure: str, where: str) -> str:
    """How often a measure leads, is undecided and follows, and by how much, in words."""
    row = leads(run, window).loc[(measure, where)]
    lead = f"median {row['lead']:+,.0f} steps [{row['lead_low']:+,.0f}, {row['lead_high']:+,.0f}]"
    count = (
        f"leads in {row['leads']}, is undecided in {row['undecided']}, follows in {row['follows']} of {row['seeds']}"
    )
    return f"{count} ({lead})"


def listed(run: str, window: str, verdict: str) -> str:
    """The measures of a case with a verdict, in words."""
    return ", ".join(counts(run, window, verdict)) or "none"


def before_loss(run: str) -> str:
    """In how many networks restricted loss changes before test loss, which the source compares it with, in words."""
    own = beside(*(changes_of(changes(), run, measure, "test") for measure in ("restricted_loss", "loss")))
    gap = (own["test_at"] - own["changes_at"]).median()
    return f"in {(own['order'] == 'leads').sum()} of {len(own)} networks, in the median {gap:,.0f} steps"


def findings() -> str:
    """What came out, with the numbers of today's tables."""
    late, whole = WINDOWS
    told = []
    table = leads("p53", late).drop(index=CONTROL, level=0)
    tied = table["tied"].drop(index=("loss", "train")).dropna()
    told.append(
        f"**On the p = 53 transformer, from memorisation on, {len(counts('p53', late, 'leads'))} of {len(table)} measures lead** "
        f"in most of {table['seeds'].max()} starts. Restricted loss (test), the best known progress measure, "
        f"{line('p53', late, 'restricted_loss', 'test')}; excluded loss (train) {line('p53', late, 'excluded_loss', 'train')}. "
        f"Those that follow: {listed('p53', late, 'follows')}. Before test *loss* restricted loss changes {before_loss('p53')}."
    )
    told.append(
        f"**Yet they are tied to it.** Over starts the steps of change of all measures but train loss go with that of test "
        f"accuracy (rank correlations {tied.min():.2f} to {tied.max():.2f}): they change with generalisation, not before it."
    )
    if "p113" in compared():
        told.append(
            f"**On p = 113, as published, excluded loss leads.** On the train set it "
            f"{line('p113', late, 'excluded_loss', 'train')}: it rises before test accuracy does, as Nanda et al. say. "
            f"Restricted loss (test) {line('p113', late, 'restricted_loss', 'test')}; before test *loss*, which the paper "
            f"compares it with, it changes {before_loss('p113')}. By the verdict over networks "
            f"{listed('p113', late, 'leads')} lead, and {listed('p113', late, 'follows')} follow. Set beside the test accuracy "
            f"of another start excluded loss leads in {leads('p113', late).loc[('excluded_loss', 'train'), 'shuffled']:.0%}, "
            f"train loss in {leads('p113', late).loc[('loss', 'train'), 'shuffled']:.0%}: that one tells the time."
        )
    time = leads("p53", whole)
    power, gini = (time.loc[key] for key in (("mode_power", "key frequencies"), ("spectral_gini", "logits")))
    told.append(
        f"**What leads over the whole run tells the time.** The power of the key frequencies and the Gini coefficient of the "
        f"logits lead in {power['leads']} and {gini['leads']} of {power['seeds']} starts, by {power['lead']:,.0f} steps in "
        f"the median. Set beside the test accuracy of another start they lead in {power['shuffled']:.0%}: they change when "
        f"the network memorises."
    )
    networks = changes().groupby("run")["member"].nunique()
    cases = [run for run in compared() if run != "p53" and networks[run] >= 4]
    others = [run for run in cases if run != "p113"]
    parts = [
        f"{runs().loc[run, 'what']}: lead {listed(run, late, 'leads')}, follow {listed(run, late, 'follows')}"
        for run in others
    ]
    ahead = Counter(one for run in ("p53", *cases) for one in counts(run, late, "leads"))
    common = ", ".join(one for one, n in ahead.items() if n > 1) or "none"
    told.append(f"**Other tasks.** From memorisation on, {'; '.join(parts)}. Lead in more than one task: {common}.")
    clock = [leads(run, late).loc[(CONTROL, "clock"), "verdict"] for run in ("p53", *cases)]
    trail = sum(int(leads(run, late).loc[(CONTROL, "trailing accuracy"), "leads"]) for run in ("p53", *cases))
    told.append(
        f"**The controls behave.** The clock is {' and '.join(sorted(set(map(str, clock))))} in all {len(clock)} tasks, a "
        f"trailing mean of test accuracy leads in {trail} networks. Measures that are as gradual as the clock have no moment of "
        "change, and asking whether they lead has no answer."
    )
    return "\n".join(f"{i}. {text}" for i, text in enumerate(told, 1))


def tables() -> str:
    """All tables, with their headings."""
    return "\n\n".join(
        f"### {runs().loc[run, 'what'][0].upper()}{runs().loc[run, 'what'][1:]}, {window}\n\n{rows(run, window)}"
        for run in compared() for window in WINDOWS
    )  # fmt: skip


def pages() -> dict[str, str]:
    """What stands between the page's marks."""
    return {"findings": findings(), "runs": measured(), "summary": summary(), "tables": tables()}


def filled(text: str) -> str:
    """The page with its tables of today."""
    for mark, table in pages().items():
        text = re.sub(
            rf"(<!-- {mark} -->\n).*?(\n<!-- end -->)",
            lambda m, t=table: m[1] + t + m[2],
            text,
            flags=re.DOTALL,
        )
    return text


def draw(path: Path) -> None:
    """Bars of how many networks each measure leads and follows in, a panel per case, with its verdict."""
    cases = compared()
    with plt.rc_context(STYLE):
        tallest = max(len(leads(run, WINDOWS[0])) for run in cases)
        rows = -(-len(cases) // 2)
        figure, axes = plt.subplots(rows, 2, figsize=(9.2, rows * (0.8 + 0.22 * tallest)), squeeze=False)
        for axis in axes.flat[len(cases) :]:
            axis.set_axis_off()
        for axis, run in zip(axes.flat, cases, strict=False):
            table = leads(run, WINDOWS[0]).iloc[::-1]
            left = pd.Series(0.0, index=table.index)
            for verdict, colour in COLOURS.items():
                share = table[verdict] / table["seeds"]
                axis.barh(range(len(table)), share, left=left, color=colour, label=verdict)
                left += share
            axis.set_yticks(range(len(table)), [name(key) for key in table.index], fontsize=7)
            axis.set_xlim(0, 1)
            axis.set_title(f"{runs().loc[run, 'what']} ({table['seeds'].max()} networks)", fontsize=8)
            axis.set_xlabel("share of networks")
        axes[0, 0].legend(loc="lower left", bbox_to_anchor=(0, 1.06), ncols=3, fontsize=7, frameon=False)
        figure.tight_layout()
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    draw(PICTURE)
    PAGE.write_text(filled(PAGE.read_text(encoding="utf8")), encoding="utf8")
