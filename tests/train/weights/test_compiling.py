"""Layers are compiled where it is asked for or known to pay, and what is compiled late is told."""

import sys
from pathlib import Path

import pytest
import torch
from bmtool.console import Console
from bmtool.errors import ConfigError
from bmtool.models.kernels.compiled import CompiledLayers
from bmtool.train.machine.world import World
from bmtool.train.states.state import State
from bmtool.train.weights.compiling import MIN_STEPS, Compiling, fault_of_compiler, pick_compiling
from bmtool.train.weights.whole import WholeWeights
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2]))
from packing import make_pair

# What torch says to itself while it is imported and while it traces.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning"),
    pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning"),
]
CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(autouse=True)
def _nothing_compiled():
    torch.compiler.reset()


def weights_of(family, dtype=torch.bfloat16):
    return WholeWeights.of(make_pair(family, "AutoModel")[0], dtype, World())


def picked(wanted, family="gpt2", device=CUDA, *, dtype=torch.bfloat16, num_steps=MIN_STEPS):
    return pick_compiling(wanted, weights_of(family, dtype), device, num_steps=num_steps)


def test_without_being_asked_only_long_runs_in_bfloat16_on_a_gpu_are_compiled():
    assert picked("auto", device=CPU) == (False, "a CPU: only with torch_compile: always")
    assert picked("auto", num_steps=1999) == (False, "1,999 steps are too few for it to pay")
    assert picked("auto", dtype=torch.float32) == (False, "in float32 attention isn't one operation on a GPU")
    assert picked("never", num_steps=10**6) == (False, "asked for")


def test_a_model_that_runs_padded_is_not_compiled_and_who_asks_for_it_is_told():
    assert picked("auto", "deberta-v2") == (False, "a 'deberta-v2' model doesn't run with all its texts in one row")
    with pytest.raises(ConfigError) as error:
        picked("always", "deberta-v2")

    assert str(error.value) == (
        "runtime.torch_compile: always is asked for, but a 'deberta-v2' model doesn't run with all its texts in one "
        "row. Set it to auto or never"
    )


def test_where_torch_finds_no_compiler_its_own_words_are_the_reason():
    from torch._inductor import config

    with config.patch({"cpp.cxx": ("/no/such/compiler",), "fx_graph_cache": False}):
        fault = fault_of_compiler(CPU)
        with pytest.raises(ConfigError, match="torch can't compile anything here"):
            picked("always", device=CPU)

    assert "/no/such/compiler" in fault or "No working C++ compiler" in fault
    assert "\n" not in fault


class Layer(nn.Module):
    """One that torch must compile again whenever `factor` has changed."""

    factor = 1.0

    def forward(self, states):
        return states * self.factor


def step(compiling, layer, state, *, factor):
    layer.factor = factor
    result = compiling.run(lambda: layer(torch.ones(3)), Console())
    state.step += 1
    compiling.look(state, Console())
    return result


def test_what_is_compiled_behind_the_second_step_is_counted_and_told_and_ends(capsys):
    layer, state = Layer(), State()
    compiling = Compiling(CompiledLayers([layer], backend="eager"))

    for factor in (1.0, 2.0, 2.0, 1.0):
        step(compiling, layer, state, factor=factor)
    assert (state.recompiles, capsys.readouterr().err) == (0, "")

    results = [step(compiling, layer, state, factor=factor) for factor in (3.0, 4.0, 5.0, 6.0, 7.0)]

    lines = capsys.readouterr().err.splitlines()
    assert [float(result[0]) for result in results] == [3, 4, 5, 6, 7]
    assert state.recompiles == 4
    assert len(lines) == 5
    assert "step 5: torch compiled layers again" in lines[0]
    assert "the layers go on uncompiled" in lines[-1]
    assert compiling.layers.num_graphs == 6


def test_a_new_phase_may_compile_again(capsys):
    layer, state = Layer(), State()
    compiling = Compiling(CompiledLayers([layer], backend="eager"))
    for factor in (1.0, 1.0, 1.0):
        step(compiling, layer, state, factor=factor)

    state.phase = 1
    for factor in (2.0, 2.0, 2.0):
        step(compiling, layer, state, factor=factor)

    assert (state.recompiles, capsys.readouterr().err, compiling.layers.num_graphs) == (0, "", 2)


def test_layers_of_which_torch_compiles_nothing_are_told_of(capsys):
    layer, state = nn.Identity(), State()
    compiling = Compiling(CompiledLayers([layer], backend="eager"))

    for _ in range(3):
        compiling.run(lambda: layer(torch.ones(3)), Console())
        state.step += 1
        compiling.look(state, Console())

    assert "step 2: torch compiled none of the layers; they run as they are" in capsys.readouterr().err


def test_layers_that_torch_cannot_compile_end_a_run_that_asked_for_it_with_what_to_set():
    torch._dynamo.register_backend(name="bmtool_broken")(broken)
    layer = Layer()
    compiling = Compiling(CompiledLayers([layer], backend="bmtool_broken"))

    with pytest.raises(ConfigError) as error:
        compiling.run(lambda: layer(torch.ones(3)), Console())

    assert str(error.value) == (
        "runtime.torch_compile: torch can't compile this model's layers here: backend='_counted' raised: RuntimeError: "
        "no registers left. Set it to never"
    )
    assert "forward" not in vars(layer)


def test_layers_that_torch_cannot_compile_after_all_go_on_as_they_are_where_nobody_asked(capsys):
    torch._dynamo.register_backend(name="bmtool_broken_too")(broken)
    layer = Layer()
    compiling = Compiling(CompiledLayers([layer], backend="bmtool_broken_too"), is_asked_for=False)
    drawn = []

    def work():
        torch.manual_seed(7)
        drawn.append(float(torch.rand(())))
        return layer(torch.full((3,), 2.0))

    results = [compiling.run(work, Console()) for _ in range(2)]

    assert [float(one[0]) for one in results] == [2, 2]
    assert len(drawn) == 3
    assert len(set(drawn)) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "no registers left. They go on uncompiled; runtime.torch_compile: never doesn't try" in lines[0]


def broken(graph, inputs):
    raise RuntimeError("no registers left")
