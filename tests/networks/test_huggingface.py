"""Models of transformers find the inputs that they are meant for in their configurations, and are counted."""

import json

import pytest
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from resbench.costs.measure import cost
from resbench.costs.values import with_integers
from resbench.errors import MeasureError, SourceError, TraceError
from resbench.gradients.measure import gradflow
from resbench.networks.load import load
from resbench.workers.workload import called_with

SMALL = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
TEXT = {**SMALL, "vocab_size": 90, "max_position_embeddings": 24, "pad_token_id": 0}
IMAGE = {**SMALL, "image_size": 32, "patch_size": 16}
LISTENER = {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2}
LISTENER |= {"decoder_attention_heads": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "vocab_size": 90}
LISTENER |= {"max_source_positions": 20, "max_target_positions": 12, "num_mel_bins": 16, "pad_token_id": 0}
LISTENER |= {"bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
WAVES = {**SMALL, "conv_dim": [8, 8], "conv_kernel": [10, 8], "conv_stride": [10, 8], "num_feat_extract_layers": 2}
WAVES |= {"num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2, "vocab_size": 30}
T5 = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 1, "num_heads": 2, "vocab_size": 90, "n_positions": 16}

MODELS = {
    ("vit", "ViTForImageClassification"): (IMAGE, ["3x32x32"]),
    ("clip_vision_model", "CLIPVisionModel"): (IMAGE, ["3x32x32"]),
    ("bert", "BertModel"): (TEXT, ["input_ids=24:int64"]),
    ("t5", "T5ForConditionalGeneration"): (T5, ["input_ids=16:int64", "decoder_input_ids=16:int64"]),
    ("clip", "CLIPModel"): (
        {"text_config": TEXT, "vision_config": IMAGE, "projection_dim": 8},
        ["input_ids=24:int64", "pixel_values=3x32x32"],
    ),
    ("whisper", "WhisperForConditionalGeneration"): (LISTENER, ["input_features=16x40", "decoder_input_ids=12:int64"]),
    ("wav2vec2", "Wav2Vec2ForCTC"): (WAVES, ["input_values=16000"]),
}


def made(folder, kind, architecture, options):
    config = {"model_type": kind, "architectures": [architecture], "num_labels": 10, **options}
    (folder / "config.json").write_text(json.dumps(config))
    return f"hf:{folder}"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("kind", "architecture"), MODELS, ids=[architecture for _, architecture in MODELS])
def test_its_inputs_are_those_of_its_configuration_and_its_macs_those_of_torch(
    tmp_path, torchvision, kind, architecture
):
    pytest.importorskip("transformers")
    options, inputs = MODELS[kind, architecture]
    name = made(tmp_path, kind, architecture, options)
    model = load(name)
    assert [one.text for one in model.inputs] == inputs
    module = model.module.eval()
    args, named = called_with(with_integers(module, model.arguments(2)), module, "cpu")
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        module(*args, **named)
    assert 2 * cost(name, batch=2).macs == counter.get_total_flops()


@pytest.mark.filterwarnings("ignore")
def test_what_it_cannot_do_names_the_way_out(tmp_path, torchvision):
    pytest.importorskip("transformers")
    name = made(tmp_path, "bert", "BertModel", TEXT)
    with pytest.raises(MeasureError, match=r"it takes input_ids=24:int64; put resbench.GradientProbe into"):
        gradflow(name, seeds=1, steps=(0,))
    with pytest.raises(TraceError, match=r"given 1x3x8x8; say what forward\(input_ids, attention_mask.* as --input"):
        cost(name, "3x8x8")
    assert cost(name, "input_ids=8:int64").input == (1, 8)
    with pytest.raises(SourceError, match=r"no configuration there"):
        load(f"hf:{tmp_path}/absent")


def test_an_image_classifier_is_trained_on_digits(tmp_path, torchvision):
    pytest.importorskip("transformers")
    options = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
    name = made(tmp_path, "resnet", "ResNetForImageClassification", options)
    (flow,) = gradflow(f"{name},num_labels=10,input=3x32x32", seeds=1, steps=(0,), batch=4).flows
    assert flow.input == (3, 32, 32) and flow.rows
