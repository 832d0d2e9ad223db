"""What reports say of the suggestions after a training of Lever-Plus, by language."""

from __future__ import annotations

from collections.abc import Mapping

SENTENCES: Mapping[str, Mapping[str, str]] = {
    "en": {
        "next.test_epoch": "Suggested by the reports of Lever-Plus: test epoch {name} on 800 samples.",
        "next.shaping": "Suggested by the reports of Lever-Plus: reward shaping ({name}). Wrong answers earn a little, "
        "so that fewer groups are tied.",
        "next.curriculum": "Suggested by the reports of Lever-Plus: a curriculum ({name}). Queries of high contrast "
        "come first.",
        "next.rate": "Suggested by the reports of Lever-Plus: a learning rate of {name}. Groups without contrast stay "
        "without signal at any rate.",
    },
    "zh": {
        "next.test_epoch": "原系统报告的建议：测试 epoch {name} 的推理效果（800 samples）。",
        "next.shaping": "原系统报告的建议：Reward Shaping（{name}）。答错的序列也得少量奖励，奖励并列的组会减少。",
        "next.curriculum": "原系统报告的建议：Curriculum Learning（{name}）。先训练奖励差异大的 query。",
        "next.rate": "原系统报告的建议：学习率 {name}。没有奖励差异的组，学习率再大也没有信号。",
    },
}
