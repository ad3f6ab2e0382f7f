"""Other tools' names for our settings, so that a config moved over from them is answered with the right key."""

from __future__ import annotations

from bmtool.errors import did_you_mean

#: Our key -> what other tools call it (lower case, `_` for `-`). Of several meanings the one that fits the place
#: counts.
_KEYS = {
    "per_device_batch_tokens": "micro_batch_size per_device_train_batch_size train_micro_batch_size_per_gpu batch "
    "per_device_batch_size batch_size batchsize train_batch_size global_batch_size mbs per_gpu_train_batch_size "
    "per_device_eval_batch_size eval_batch_size batch_tokens max_tokens_per_batch",
    "max_seq_length": "cutoff_len sequence_len sequence_length max_length max_len block_size seq_length seq_len "
    "max_seq_len model_max_length context_length max_position_embeddings max_sequence_length truncate n_ctx",
    "learning_rate": "lr lr0 base_lr max_lr peak_lr start_lr init_lr max_learning_rate learn_rate head_lr "
    "classifier_lr classifier_learning_rate lr_head",
    "head_learning_rate": "head_lr classifier_lr classifier_learning_rate lr_head",
    "warmup_ratio": "warmup_steps num_warmup_steps warmup warmup_iters lr_warmup_steps lr_warmup_iters warmup_t "
    "warmup_duration warmup_fraction t_warmup",
    "decay_ratio": "decay_steps num_decay_steps cooldown warmdown_ratio cooldown_ratio lr_decay_iters",
    "num_train_epochs": "epochs num_epochs n_epochs train_epochs max_epochs nb_epochs epoch",
    "max_steps": "steps num_steps max_train_steps num_train_steps train_steps max_iters train_iters total_steps "
    "num_iterations iterations max_duration total_training_steps",
    "max_tokens": "num_tokens train_tokens total_tokens token_budget",
    "from": "base_model model_name_or_path pretrained_model_name_or_path pretrained_model checkpoint model_name "
    "model_path checkpoint_path load_path init_from encoder backbone adapter_path weights",
    "architecture": "base_model model_name_or_path pretrained_model_name_or_path pretrained_model checkpoint "
    "model_name model_path checkpoint_path load_path init_from encoder backbone adapter_path "
    "weights model_type arch config_name",
    "data": "dataset datasets train_file data_path dataset_name dataset_path train_data train_dataset train_path "
    "data_dir dataset_dir train corpus_path corpora",
    "sources": "dataset datasets train_file data_path dataset_name dataset_path train_data train_dataset train_path "
    "data_dir dataset_dir train corpus_path corpora source files file path paths input inputs data_files input_path",
    "validation": "val_set_size validation_split val_split valid dev val eval validation_split_percentage val_ratio "
    "validation_ratio eval_size dev_size val_size validation_size",
    "split": "val_set_size validation_split val_split valid dev val eval validation_split_percentage val_ratio "
    "validation_ratio eval_size dev_size val_size validation_size test_size test_split test_ratio holdout",
    "test": "test_size test_split test_ratio holdout",
    "output_dir": "output out_dir save_dir output_path save_path run_dir logging_dir log_dir out save_folder",
    "precision": "fp16 bf16 mixed_precision torch_dtype dtype amp half tf32 fp32 data_type autocast",
    "optim": "optimizer optimiser optimizer_type optimizer_name opt",
    "lr_scheduler_type": "scheduler lr_scheduler lr_schedule schedule schedule_type scheduler_type decay_type "
    "lr_decay_style lr_scheduler_name sched",
    "save_every": "save_steps save_interval save_strategy checkpoint_every checkpoint_interval ckpt_interval "
    "save_freq saves_per_epoch save_period",
    "eval_every": "eval_steps eval_interval eval_strategy evaluation_strategy val_check_interval evals_per_epoch "
    "validation_interval validate_every",
    "gradient_accumulation_steps": "gradient_accumulation accumulate_grad_batches grad_accum grad_accumulation "
    "accumulation_steps gas grad_accum_steps grad_acc accumulate",
    "max_grad_norm": "clip_grad grad_clip gradient_clipping gradient_clip_val clip_grad_norm max_norm clip "
    "grad_norm_clip gradient_clip",
    "weight_decay": "wd decay l2 l2_regularization",
    "layerwise_lr_decay": "llrd layer_decay layerwise_learning_rate_decay layer_wise_lr_decay lr_layer_decay "
    "discriminative_lr",
    "frozen_layers": "freeze freeze_layers freeze_encoder freeze_backbone num_frozen_layers unfrozen_parameters",
    "label_smoothing": "label_smoothing_factor smoothing",
    "class_weights": "class_weight weights_per_class label_weights loss_weights balanced",
    "batch_warmup_steps": "batch_size_warmup batch_size_warmup_tokens batch_rampup rampup_batch_size",
    "phases": "stages curriculum schedule_phases",
    "report_to": "logger loggers log_with logging_backend trackers tracker use_wandb",
    "average_with_start": "wise_ft wiseft weight_interpolation interpolate_with_base merge_with_base average_with_base",
    "mix": "mixture data_mixture replay datasets_weights mixing blend",
    "seed": "random_state random_seed data_seed rng_seed manual_seed",
    "seeds": "num_seeds n_seeds random_seeds",
    "threads": "num_threads n_threads cpu_threads omp_num_threads",
    "device": "accelerator use_cuda no_cuda use_cpu gpu gpus devices cuda",
    "early_stopping_patience": "early_stopping patience early_stop early_stopping_rounds",
    "metric_for_best_model": "monitor best_metric eval_metric metric_for_best validation_metric",
    "metrics": "metric",
    "columns": "text_column label_column text_field dataset_text_field content_key text_key label_key fields "
    "input_features output_features column_names field_names column_mapping",
    "mlm_probability": "mlm_prob masking_ratio mask_ratio mask_prob masking_probability mask_probability mlm_ratio",
    "vocab_size": "vocabulary_size vocab n_vocab num_tokens_vocab",
    "min_chars": "min_length min_len min_characters minimum_length",
    "max_chars": "max_characters maximum_length",
    "keep": "languages language langs lang allowed_languages",
    "clean": "cleaners cleaning preprocess preprocessing normalize normalise clean_text cleaner",
    "filters": "filter filtering quality_filters",
    "deduplicate": "dedup deduplication dedupe near_duplicates duplicates",
    "train_per_label": "samples_per_class shots num_shots k_shot per_class num_samples_per_class",
    "objective": "loss pretraining_objective training_objective",
    "task": "task_type problem_type task_name",
    "formats": "format export_format export_formats exporters",
    "gates": "thresholds gate threshold quality_gates",
    "baselines": "baseline",
    "prepare": "data preprocess preprocessing preparation datasets dataset corpus",
    "pretrain": "pretraining pre_train pre_training pt train training trainer",
    "finetune": "finetuning fine_tune fine_tuning ft sft train training trainer task",
    "evaluate": "evaluation eval test testing metrics validation",
    "export": "deploy deployment onnx serve",
    "runtime": "hardware resources environment accelerator",
    "extends": "include includes inherit base base_config defaults _base_ import",
    "hidden_size": "d_model n_embd dim embed_dim hidden_dim model_dim",
    "num_hidden_layers": "n_layer n_layers num_layers depth layers",
    "num_attention_heads": "n_head n_heads num_heads heads",
}

#: Our word for a value -> what other tools call it.
_VALUES = {
    "wsd": "warmup_stable_decay trapezoidal warmup_stable trapezoid",
    "cosine": "cosine_with_restarts cosine_with_min_lr cosine_annealing cosine_warmup cosine_with_warmup",
    "linear": "linear_with_warmup linear_warmup polynomial",
    "constant": "constant_with_warmup none fixed",
    "adamw": "adamw_torch adamw_torch_fused adamw_hf adamw_bnb_8bit adam fused_adamw adamw_fused adamw_8bit",
    "bf16": "bfloat16 bf16-mixed bf16-true fp16 float16 16-mixed 16 half",
    "fp32": "float32 32 32-true full float single no",
    "cuda": "gpu cuda:0 nvidia",
    "mlm": "masked_lm masked_language_modeling masked_language_modelling masked_language_model fill_mask bert",
    "clm": "causal_lm causal_language_modeling causal_language_modelling lm gpt next_token language_modeling",
    "bert": "roberta encoder bert-base-uncased bert-base modernbert",
    "gpt": "gpt2 decoder gpt-2 llama nanogpt",
    "text_classification": "sequence_classification classification sentiment sentiment_analysis single_label "
    "single_label_classification classify text-classification multiclass",
    "token_classification": "ner pos tagging sequence_labeling sequence_labelling token-classification tagger",
    "text_regression": "regression grading scoring text-regression",
    "question_answering": "qa squad extractive_qa question-answering reading_comprehension",
    "similarity": "embedding embeddings sentence_similarity retrieval bi_encoder biencoder sts sentence_transformer",
    "translation": "translate machine_translation mt nmt",
    "summarization": "summarize summarisation summary",
    "generation": "chat sft instruct instruction instruction_tuning text_generation dialog dialogue conversational",
    "f1_macro": "f1 macro_f1 f1-macro eval_f1 f1_score",
    "f1_micro": "micro_f1 f1-micro",
    "f1_span": "seqeval span_f1 entity_f1",
    "accuracy": "acc eval_accuracy",
    "loss": "eval_loss val_loss validation_loss log_loss cross_entropy",
    "rmse": "mse mean_squared_error root_mean_squared_error",
    "mae": "mean_absolute_error",
    "pearson": "pearsonr",
    "spearman": "spearmanr",
    "kappa_quadratic": "qwk kappa cohen_kappa quadratic_kappa quadratic_weighted_kappa",
    "auroc": "auc roc_auc auc_roc",
    "auprc": "average_precision pr_auc",
    "mcc": "matthews matthews_correlation matthews_corrcoef",
    "ece": "calibration_error expected_calibration_error",
    "exact_match": "em",
    "f1_answer": "squad_f1",
    "rouge_l": "rouge rougel rouge-l rougelsum",
    "bleu": "sacrebleu",
    "chrf": "chrf++ chrfpp",
    "recall_at": "recall@10 recall_at_10 hit_rate hits_at",
    "ndcg_at": "ndcg ndcg@10 ndcg_at_10",
    "perplexity": "ppl",
    "bits_per_byte": "bpb",
    "subset_accuracy": "exact_match_ratio",
    "jsonl": "json ndjson jsonlines json_lines",
    "csv": "tsv",
    "parquet": "pq",
    "wordpiece": "word_piece bert_wordpiece",
    "bpe": "byte_bpe bytelevel byte_level_bpe bbpe gpt2_bpe byte_level",
    "unicode": "ftfy nfc nfkc normalize unicode_normalization fix_unicode",
    "whitespace": "strip white_space trim",
    "replace": "regex sub substitute re_sub",
    "exact": "hash md5 sha256 minhash_exact",
    "tfidf": "tf_idf tf-idf logistic_regression",
    "majority": "dummy most_frequent",
    "from_scratch": "scratch random_init",
    "onnx": "onnxruntime ort",
}

#: What differs behind a name that looks the same.
NOTES = {
    "per_device_batch_tokens": " It counts tokens, not texts.",
    "warmup_ratio": " It is a share of all steps, such as 5%.",
    "decay_ratio": " It is a share of all steps, such as 50%.",
}


#: Keys of other tools for what happens here by itself, or isn't here -> what to know instead.
_NO_SETTING = {
    "sample_packing packing eval_sample_packing neat_packing pad_to_sequence_len pad_to_max_length group_by_length "
    "padding_free": "Batches are always packed with whole texts, without padding",
    "train_on_inputs train_on_prompt roles_to_train train_on_eos response_template completion_only_loss "
    "assistant_only_loss mask_history": "Only answers are learned; `bmtool inspect FOLDER --mask` shows which tokens",
    "load_best_model_at_end save_total_limit save_only_model": "finetune keeps the best weights on validation, and a "
    "training in progress its last two states",
    "resume_from_checkpoint resume auto_resume auto_resume_from_checkpoints ignore_data_skip overwrite_output_dir "
    "overwrite_cache": "The same command goes on where it was stopped; `--force` begins anew",
    "flash_attention flash_attn attn_implementation sdp_attention xformers_attention eager_attention": "Attention is "
    "chosen by itself, and keeps packed texts apart",
    "push_to_hub hub_model_id hub_strategy hub_token hub_private_repo": "Nothing is uploaded. A checkpoint is a folder "
    "of transformers' own files",
    "trust_remote_code": "Code that comes with a model or a dataset is never run",
    "load_in_8bit load_in_4bit quantization quantization_bit bnb_4bit_quant_type bnb_4bit_compute_dtype": "Weights are "
    "trained in bfloat16 or float32 only",
    "gradient_checkpointing gradient_checkpointing_kwargs activation_checkpointing": "Activations are always kept: a "
    "smaller per_device_batch_tokens takes less memory",
}


def keys_for(name: str) -> list[str]:
    """Our keys for another tool's `name`, none if nobody calls a setting so."""
    name = name.lower().replace("-", "_").replace(".", "_")
    return [ours for ours, names in _KEYS.items() if name in names.split()]


def without_setting(name: str) -> str:
    """Why nothing is to be set for what another tool calls `name`; empty if we don't know it."""
    name = name.lower().replace("-", "_")
    return next((why for names, why in _NO_SETTING.items() if name in names.split()), "")


def value_for(name: str, known: list[str]) -> str:
    """Our word for another tool's value among the `known` ones; empty if there is none."""
    return next((ours for ours in known if name.lower() in _VALUES.get(ours, "").split()), "")


def meant_by(word: str, known: list[str]) -> str:
    """Return ` Did you mean 'x'?` for what others call so, else for the closest known word, or the empty string."""
    meant = value_for(word, known)
    return f" Did you mean '{meant}'?" if meant else did_you_mean(word, known)
