"""Names and values that inputs are drawn from: networks of all layouts, options, names of files, specs, name maps."""

from __future__ import annotations

# one network of each layout by its tensors' names; letters are sizes, the same letter the same size
NETWORKS = (
    "W1:ab b1:b W2:bc b2:c",
    "arr_0:ab arr_1:b arr_2:bc arr_3:c",
    "fc1.weight:ba fc1.bias:b fc2.weight:cb fc2.bias:c",
    "embed.weight:vd 0.weight:ad 0.bias:a 2.weight:ca 2.bias:c",
    "i2h.weight:ba i2h.bias:b h2h.weight:bb h2h.bias:b out.weight:cb out.bias:c",
    "rnn.weight_ih_l0:ba rnn.weight_hh_l0:bb rnn.bias_ih_l0:b rnn.bias_hh_l0:b fc.weight:cb fc.bias:c",
    "Wxh:ab Whh:bb Why:bc bh:b by:c",
    "h_0:1b cell.weight_ih:ga cell.weight_hh:gb cell.bias_ih:g cell.bias_hh:g decoder.weight:vb",
    "W:ab b_final:b importance:b",
    "W:iab b_final:ib",
    "embed.W_E:dv pos_embed.W_pos:de blocks.0.attn.W_K:hkd blocks.0.attn.W_Q:hkd blocks.0.attn.W_V:hkd "
    "blocks.0.attn.W_O:dd blocks.0.mlp.W_in:ad blocks.0.mlp.b_in:a blocks.0.mlp.W_out:da blocks.0.mlp.b_out:d "
    "unembed.W_U:dv",
    "embed.W_E:vd pos_embed.W_pos:ed blocks.0.attn.W_Q:hdk blocks.0.attn.W_K:hdk blocks.0.attn.W_V:hdk "
    "blocks.0.attn.W_O:hkd blocks.0.attn.b_Q:hk blocks.0.attn.b_O:d blocks.0.mlp.W_in:da blocks.0.mlp.W_out:ad "
    "unembed.W_U:dv unembed.b_U:v",
    "token_embed.weight:vd pos_embed.weight:ed blocks.0.attn.in_proj_weight:td blocks.0.attn.in_proj_bias:t "
    "blocks.0.attn.out_proj.weight:dd blocks.0.ff.0.weight:ad blocks.0.ff.2.weight:da blocks.0.ln.weight:d "
    "output.weight:vd",
    "transformer.wte.weight:vd transformer.wpe.weight:ed transformer.h.0.attn.c_attn.weight:td "
    "transformer.h.0.attn.bias:11ee transformer.h.0.attn.c_proj.weight:dd transformer.h.0.ln_1.weight:d "
    "transformer.h.0.mlp.c_fc.weight:ad transformer.h.0.mlp.c_proj.weight:da transformer.ln_f.weight:d "
    "lm_head.weight:vd",
    "tok_embed.weight:vd layers.0.heads.0.W_Q.weight:kd layers.0.heads.0.W_K.weight:kd "
    "layers.0.heads.0.W_V.weight:kd layers.0.heads.1.W_Q.weight:kd layers.0.heads.1.W_K.weight:kd "
    "layers.0.heads.1.W_V.weight:kd layers.0.W_O.weight:dd unembed.weight:vd",
    "emb.weight:vd layers.0.wq.weight:dd layers.0.wk.weight:kd layers.0.wv.weight:kd layers.0.wo.weight:dd "
    "layers.0.norm.weight:d layers.0.w1.weight:ad layers.0.w3.weight:ad layers.0.w2.weight:da head.weight:vd",
    "W_x:va W_y:va W:ab W_U:bv",
    "params/Dense_0/kernel:ab params/Dense_0/bias:b params/Dense_1/kernel:bc",
    "fc.weight_orig:ba fc.weight_mask:ba fc.bias:b out.weight_g:c1 out.weight_v:cb out.bias:c",
    "base_model.model.fc.base_layer.weight:ba base_model.model.fc.lora_A.default.weight:ra "
    "base_model.model.fc.lora_B.default.weight:br",
    "conv.weight:abkk conv.bias:a bn.running_mean:a bn.num_batches_tracked: fc.weight:ca",
)
FAMILIES = tuple(
    {name: tuple(shape) for name, _, shape in (part.partition(":") for part in text.split())} for text in NETWORKS
)
OPTIONS = {
    "orientation": ("out_in", "in_out", "hidden_features", "features_hidden", "x"),
    "order": ("fc1>fc2", "fc2>fc1", "W1>W1", "fc1", ">"),
    "weights": ("W1>W2", "W2", "fc1.weight>fc2.weight", "W1>x", ">"),
    "biases": ("b1>b2", "none", "none>none", "b1", ""),
    "act_fn": ("relu", "tanh", "gelu", "identity", "nothing", "1"),
    "n_heads": ("1", "2", "3", "0", "-1", "1.5", "x", "100000"),
    "norm": ("first", "last", "x"),
    "causal": ("true", "false", "yes", "2"),
    "eps": ("1e-5", "0", "-1", "nan", "x"),
    "normalization": ("LN", "RMS", "LNPre", "x"),
    "positions": ("none", "sinusoidal", "x"),
    "n_ctx": ("1", "5", "0", "-1", "1000000000", "x"),
    "qkv": ("parts", "heads", "x"),
    "gate": ("first", "second", "x"),
    "embed_scale": ("2", "sqrt", "nan", "0", "x"),
    "attn_scale": ("1", "0", "-1", "inf", "x"),
    "read": ("last", "each", "x"),
    "reverse_read": ("first", "last", "x"),
    "gates": ("torch", "x"),
    "joined": ("input_hidden", "hidden_input", "x"),
    "tied": ("yes", "no"),
    "instance": ("0", "1", "-1", "9", "x"),
    "post_norm": ("true", "false", "x"),
}
FOLDER_NAMES = (
    "step_1.pt", "step_10.pt", "1e3.pt", "ckpt_2.5k.pt", "epoch=1-step=5.ckpt", "last.ckpt", "best.pt", "final.pt", "10.pt",
    "model.pt", "step_1.pth", "0001.pt", "step_-3.pt", "step_1e99.pt", "seed3.pt", "loss_0.5.pt", "é=ö_3.pt", "step 7 .pt",
    ".hidden.pt", "x.pt.pt", "9" * 40 + ".pt", "step_" + "9" * 30 + ".pt", "checkpoint-5", "config.json", "run.json", "cfg.json",
    "model.safetensors.index.json", "step_2.npz", "step_3.pkl", ".metadata", "a.distcp", "metrics.jsonl", "checkpoints", "state",
    "step_\n4.pt", "[bold]_5.pt", "step_5.pt\t",
)  # fmt: skip
TASKS = (
    "modular:p=5,form=b a", "modular:p=5,form=a op b =,encoding=tokens", "modular:p=5,encoding=one_hot",
    "modular:p=7,encoding=sum",
    "modular:p=5,fn=subtract,train_first=10", "group:table=S3,form=a b =", "parity:n=6,k=2,encoding=signs", "addition:p=4",
    "grid:n=4", "digits:mean=0.5,std=0.25", "digits:mean=0.5;0.4;0.3,std=1", "superposition:n_features=5,sparsity=0.5",
    "superposition:n_features=3,importance=0.7", "image:size=4,target=x.png", "modular:p=3,train_first=yes,seed=1", "bits:n=4",
)  # fmt: skip
NAME_MAPS = (
    'layout = "linear_chain"\n[options]\nact_fn = "tanh"\n[names]\n"fc1.weight" = "0.weight"\n"fc1.bias" = "0.bias"\n'
    '"fc2.weight" = "2.weight"\n"fc2.bias" = "2.bias"\n',
    'layout = "linear_chain"\n[config]\np = 7\n[names]\n"fc1.weight" = { from = "0.weight", as = "a b -> b a" }\n'
    '"fc2.weight" = { from = "2.weight", as = "(h k) b -> b (h k)", h = 1 }\n',
    'layout = "transformer_lens"\n[config]\nact_fn = "relu"\n[names]\n'
    '"blocks.{l}.mlp.W_in" = { from = "{l}.weight", as = "a b -> b a" }\n'
    '"W_E" = "{i}.weight"\n',
)  # fmt: skip
# a part of a name map, and what is put in its place
REPLACED = (
    ('[config]', '[config]\nd_vocab = 10000000000000\n'), ('a b -> b a', 'a b -> (a b)'),
    ('a b -> b a', 'a b -> b a ...'), ('a b -> b a', 'a b -> a'), ('h = 1', 'h = 0'),
    ('h = 1', 'h = 99999999999999999999'), ('h = 1', 'h = "x"'), ('{l}', '{l}{l}'), ('{l}', '{1}'),
    ('{i}', '{i}.{i}'), ('{i}', '{é}'), ('0.weight', '2.bias'), ('[names]', '[[names]]'),
    ('layout = "', 'layout = "x'), ('a b -> b a', 'a a -> a'), ('a b -> b a', 'a b -> a b 1 1 1 1'), ('{l}', '{for}'),
    ('{l}', '{_}'), ('"fc1.weight" =', '"fc1".weight ='), ('a b -> b a', ''), ('tanh', "x" * 3000),
    ('p = 7', 'p = 1e400'),
)  # fmt: skip
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"
