"""诊断结论的中文表述：每条结论的标题、依据、含义与建议。"""

from __future__ import annotations

TEXT: dict[str, str] = {
    "severity.fault": "故障",
    "severity.warning": "警告",
    "severity.note": "提示",
    "diagnosis.none": "未发现问题：从这些数据看不出任何故障。",
    "diagnosis.try": "可尝试",
    # 训练信号
    "finding.groups_truncated.title": "组被截断，已无可学的信号",
    "finding.groups_truncated.evidence": "计算 advantage 之前，每组只保留 reward 最高的若干条 rollout（逐 epoch 为 "
    "{kept}）；截断后 {zero:.1f} % 的组没有信号。",
    "finding.groups_truncated.meaning": "同一 query 下 reward 最高的几条 rollout 往往并列。并列则 advantage 为 0，"
    "advantage 为 0 的组梯度也为 0，与学习率无关。真正的差异恰恰在被截掉的那部分里。",
    "finding.groups_truncated.advice": "保留完整的组，不要截断。",
    "finding.groups_saturated.title": "大多数组已经全部答对",
    "finding.groups_saturated.evidence": "采样得到的组中 {zero:.0f} % 没有信号（组内 reward 相差太小或完全相同）；"
    "全部组中，{all_good:.0f} % 的组每条 "
    "rollout 都好，{all_bad:.0f} % 的组每条都差。",
    "finding.groups_saturated.meaning": "一组 rollout 全部正确时分不出优劣：VLM 调用照付，却什么也学不到。"
    "训练只靠剩下的少数组推进。",
    "finding.groups_saturated.advice": "先训练 rollout 差异最大的 query，或换用更难的 query。",
    "finding.groups_failed.title": "大多数组全部答错",
    "finding.groups_failed.evidence": "采样得到的组中 {zero:.0f} % 没有信号（组内 reward 相差太小或完全相同）；"
    "全部组中，{all_bad:.0f} % 的组每条 "
    "rollout 都差，{all_good:.0f} % 的组每条都好。",
    "finding.groups_failed.meaning": "没有一条 rollout 答对时，reward 无法说明哪一条更接近正确答案。",
    "finding.groups_failed.advice": "换用能区分错误答案好坏的 reward，或增加每个 query 的采样条数。",
    "finding.groups_without_signal.title": "大多数组没有信号",
    "finding.groups_without_signal.evidence": "采样得到的组中，{zero:.0f} % 组内 reward 没有差异，无从学习。",
    "finding.groups_without_signal.meaning": "组内 reward 全部相同，则 advantage 为 0、梯度为 0。"
    "VLM 调用照付，却什么也学不到。",
    "finding.groups_without_signal.advice": "增加每个 query 的采样条数，让更多的组内出现差异。",
    "finding.advantages_averaged.title": "几乎所有组都没有信号",
    "finding.advantages_averaged.evidence": "Adv Std 平均为 {adv_std:.4f}（各 epoch 在 {lowest:.4f} 至 {highest:.4f} "
    "之间）。它是各组的均值：约 {share:.1f} % 的组标准差为 1，其余各组恰为 0。",
    "finding.advantages_averaged.meaning": "这不是“处处信号偏弱”，而是“几乎处处没有信号”。advantage 为 0 的组梯度为 0，"
    "无论多大的学习率都学不到东西。",
    "finding.advantages_averaged.advice": "查明组内 reward 为何并列，并用其他组替换没有信号的组。",
    "finding.signal_unmoved_by_rate.title": "学习率变了，信号依旧缺失",
    "finding.signal_unmoved_by_rate.evidence": "本次学习率为 {rate:g}，{other} 为 {other_rate:g}；Adv Std 分别为 "
    "{adv_std:.4f} 与 {other_adv_std:.4f}。",
    "finding.signal_unmoved_by_rate.meaning": "advantage 由组内 reward 决定，学习率不参与其中，"
    "调整学习率不可能恢复信号。",
    "finding.signal_unmoved_by_rate.advice": "学习率不必再调；应从组入手：保留完整的组，并让组内 reward 有差异。",
    "finding.signal_unmoved.title": "两次训练同样缺失信号",
    "finding.signal_unmoved.evidence": "本次 Adv Std 为 {adv_std:.4f}，{other} 为 {other_adv_std:.4f}。",
    "finding.signal_unmoved.meaning": "两次训练之间无论改了什么（包括学习率），都没有触及使 advantage 为 0 的原因。",
    "finding.signal_unmoved.advice": "从组入手：保留完整的组，并让组内 reward 有差异。",
    "finding.setting_without_effect.title": "某项设置没有产生任何作用",
    "finding.setting_without_effect.evidence": "{setting} 本次为 {here}，{other} 为 {there}，而两者共有的 {rows} 个 "
    "epoch 各项数值完全相同。",
    "finding.setting_without_effect.meaning": "要么没有代码读取该设置，要么它被另一项设置关掉了。"
    "两次训练之间的任何差别都不能归因于它。",
    "finding.setting_without_effect.advice": "先查清 {setting} 依赖什么，再用它来比较两次训练。",
    # KL 与 beta
    "finding.kl_from_dropout.title": "KL 反映的是 dropout",
    "finding.kl_from_dropout.evidence": "首次更新之前 KL 已为 {kl:.4f}；grpo.dropout 处于开启状态。",
    "finding.kl_from_dropout.meaning": "此时尚未学习任何东西，因此它只是同一策略在有、无 dropout 时的距离。"
    "每个 ratio 里都带有同样的噪声。",
    "finding.kl_from_dropout.advice": "更新时关闭 dropout。",
    "finding.kl_from_reference.title": "GRPO 的起点不在参考策略上",
    "finding.kl_from_reference.evidence": "首次更新之前 KL 为 {kl:.4f}；参考策略是监督学习所得，中间经过了 RCE。",
    "finding.kl_from_reference.meaning": "KL 项也会把 RCE 学到的东西往回拉。",
    "finding.kl_from_reference.advice": "若非有意如此，请以 GRPO 的起始策略作为参考。",
    "finding.kl_before_update.title": "尚未学习，KL 已不为 0",
    "finding.kl_before_update.evidence": "首次更新之前 KL 为 {kl:.4f}，应当为 0。",
    "finding.kl_before_update.meaning": "当前策略与参考策略不同，或二者的计算模式不一致（其中之一带有 dropout）。"
    "KL 与 ratio 自始至终都带有这一偏差。",
    "finding.kl_before_update.advice": "两者都关闭 dropout 计算，并以 GRPO 的起始策略作为参考。",
    "finding.kl_is_noise.title": "KL 不随训练增长",
    "finding.kl_is_noise.evidence": "KL 在第一个 epoch 为 {first:.4f}，最后一个为 {last:.4f}，始终介于 {lowest:.4f} 与 "
    "{highest:.4f} 之间，而几乎没有组带有信号。",
    "finding.kl_is_noise.meaning": "策略只要在学习，就会逐渐离开参考策略。从一开始就存在且保持不变的 KL 是噪声，"
    "例如两个策略之一带有 dropout。数值低一些并不代表离参考策略更近。",
    "finding.kl_is_noise.advice": "更新时关闭 dropout，KL 即从 0 开始。",
    "finding.kl_exploded.title": "KL 爆炸",
    "finding.kl_exploded.evidence": "KL 在 epoch {epoch}（种子 {seed}）达到 {kl:.2f} nats，其中位数为 {median:.3f}。",
    "finding.kl_exploded.meaning": "策略已远离参考策略，此前学到的东西也随之丢失。",
    "finding.kl_exploded.advice": "增大 beta 以约束策略，并减小更新步长。",
    "finding.beta_at_floor.title": "Beta 触及下限",
    "finding.beta_at_floor.evidence": "{epochs} 个 epoch 中有 {at} 个的 Beta 为 {beta:g}；其下限为 {bound:g}。",
    "finding.beta_at_floor.meaning": "自适应控制已把 beta 降到最低：KL 几乎不起约束作用，实际生效的并不是最初设定的 "
    "beta。",
    "finding.beta_at_floor.advice": "固定 beta，或让自适应控制缓慢调整。",
    "finding.beta_at_ceiling.title": "Beta 触及上限",
    "finding.beta_at_ceiling.evidence": "{epochs} 个 epoch 中有 {at} 个的 Beta 为 {beta:g}；其上限为 {bound:g}。",
    "finding.beta_at_ceiling.meaning": "自适应控制已把 beta 升到最高：KL 压过了 reward，策略被固定在原地。",
    "finding.beta_at_ceiling.advice": "固定 beta，或让自适应控制缓慢调整。",
    # 更新
    "finding.figures_not_finite.title": "出现非有限数值",
    "finding.figures_not_finite.evidence": "共有 {count} 个数值为 NaN 或无穷大，最早出现在 epoch {epoch}。",
    "finding.figures_not_finite.meaning": "自此以后权重可能已经损坏，后面的 epoch 不再有意义。",
    "finding.figures_not_finite.advice": "回到该 epoch 之前，并降低学习率。",
    "finding.skipped_updates.title": "有更新被跳过",
    "finding.skipped_updates.evidence": "{phase}：{skipped} 次更新的 loss 或梯度不是有限值，最早出现在 epoch {epoch}。",
    "finding.skipped_updates.meaning": "步长过大，或 reward、embedding 中含有极端值。",
    "finding.skipped_updates.advice": "降低学习率，并检查 reward 中的极端值。",
    "finding.gradient_spikes.title": "梯度突增",
    "finding.gradient_spikes.evidence": "{phase}：epoch {epoch}（种子 {seed}）的平均梯度范数为 {norm:.2f}，"
    "而中位数为 {median:.2f}。",
    "finding.gradient_spikes.meaning": "训练不稳定：裁剪只限制了步长，并未改变方向。",
    "finding.gradient_spikes.advice": "降低学习率。",
    "finding.policy_unmoved.title": "策略没有移动",
    "finding.policy_unmoved.evidence": "每个 batch 更新 {iterations} 次，而与旧策略的 ratio 最大仅为 {ratio:.6f}。",
    "finding.policy_unmoved.meaning": "更新之后策略理应与之前不同。这里要么步长小到看不出变化，要么没有参数在训练。",
    "finding.policy_unmoved.advice": "提高学习率，并检查是否还有未冻结的参数。",
    "finding.clip_binds.title": "裁剪范围过紧",
    "finding.clip_binds.evidence": "{share:.0f} % 的 ratio 被裁剪，epoch {epoch} 达到 {highest:.0f} %。",
    "finding.clip_binds.meaning": "被裁剪的部分没有梯度：每个 batch 都有很大一部分被浪费。",
    "finding.clip_binds.advice": "减少每个 batch 的更新次数，或减小步长。",
    "finding.ratio_extreme.title": "更新由少数 rollout 决定",
    "finding.ratio_extreme.evidence": "ratio 最大达到 {ratio:.1f}（epoch {epoch}）；ratio 的有效样本量降至 "
    "{ess:.0f} %。",
    "finding.ratio_extreme.meaning": "策略在一个 batch 之内移动过大，更新被少数几条 rollout 左右。",
    "finding.ratio_extreme.advice": "减少每个 batch 的更新次数，或减小步长。",
    "finding.entropy_collapsed.title": "策略已停止探索",
    "finding.entropy_collapsed.evidence": "熵从 {first:.3f} 降至 {last:.3f} nats，仅为初始值的 {share:.0f} %。",
    "finding.entropy_collapsed.meaning": "策略几乎每次都采样同一序列，组内不再有差异，也就找不到更好的序列。",
    "finding.entropy_collapsed.advice": "增大熵正则项的系数。",
    # 离线 rollout
    "finding.behaviour_ess_low.title": "真正起作用的 rollout 很少",
    "finding.behaviour_ess_low.evidence": "重要性权重的有效样本量在 epoch {epoch} 降至 {ess:.0f} %"
    "（第一个 epoch 为 {first:.0f} %，最后一个为 {last:.0f} %）。",
    "finding.behaviour_ess_low.meaning": "这些 rollout 来自一个早已不同的策略：大多数权重几乎为零，"
    "结果由其余少数决定。",
    "finding.behaviour_ess_low.advice": "从正在训练的策略采样。",
    "finding.never_on_policy.title": "只用预先录制的 rollout 训练",
    "finding.never_on_policy.evidence": "GRPO 的全部 {epochs} 个 epoch 使用的是同一批预先录制的 rollout。",
    "finding.never_on_policy.meaning": "策略从未看到自己的选择带来的结果。几个 epoch 之后，"
    "这些 rollout 描述的已是一个不复存在的策略。",
    "finding.never_on_policy.advice": "从正在训练的策略采样，或只训练少数几个 epoch。",
    # 验证
    "finding.val_loss_turned.title": "Val Loss 先降后升",
    "finding.val_loss_turned.evidence": "{phase}：Val Loss 在 epoch {epoch} 最低（{best:.4g}），到 epoch {epochs} 为 "
    "{last:.4g}。最低点之后每个 epoch 上升 {slope:.2g}（95 % 区间 {low:.2g} 至 {high:.2g}）。",
    "finding.val_loss_turned.meaning": "就这一 loss 而言，策略自此开始过拟合：越往后，在未训练过的 query 上越差。",
    "finding.val_loss_turned.advice": "提前停止；在带有信号的组上，减小步长也有帮助。",
    "finding.val_reward_turned.title": "Val Reward 先升后降",
    "finding.val_reward_turned.evidence": "{phase}：Val Reward 在 epoch {epoch} 最高（{best:.4g}），到 epoch "
    "{epochs} 为 "
    "{last:.4g}。最高点之后每个 epoch 变化 {slope:.2g}（95 % 区间 {low:.2g} 至 {high:.2g}）。",
    "finding.val_reward_turned.meaning": "策略自此开始过拟合。",
    "finding.val_reward_turned.advice": "提前停止；在带有信号的组上，减小步长也有帮助。",
    "finding.best_epoch_early.title": "最优 epoch 出现在最初几个之中",
    "finding.best_epoch_early.evidence": "{phase}：按 {column}，{epochs} 个 epoch 中以 epoch {epoch} 为最优；"
    "此后又训练了 {after} 个 epoch。",
    "finding.best_epoch_early.meaning": "能学到的一开始就学到了；从这一指标看，其余的训练没有带来任何收益。",
    "finding.best_epoch_early.advice": "不要再延长训练：应提前停止，并先确认各组是否带有信号。",
    "finding.criteria_disagree.title": "Val Loss 与 Val Reward 选出的 epoch 不同",
    "finding.criteria_disagree.evidence": "{phase}：按 Val Loss 会选 epoch {by_loss}，按 Val Reward 会选 epoch "
    "{by_reward}（各种子平均）。前者的 reward 为 {there:.4g}，后者为 {best:.4g}：将损失 {lost:.3g}，即 {share:.0f} %。",
    "finding.criteria_disagree.meaning": "Val Loss 是在已录制 rollout 上的交叉熵。策略离开这些 rollout 时它就会上升，"
    "无论变好还是变坏，因此未必能按准确率给 epoch 排序。",
    "finding.criteria_disagree.advice": "按 Val Reward 选择 epoch（默认如此）。",
    "finding.ppo_loss_sign.title": "PPO Loss 的正负不说明任何问题",
    "finding.ppo_loss_sign.evidence": "PPO Loss 在 {positive} 个 epoch 为正，{negative} 个 epoch 为负，介于 "
    "{lowest:.3g} 与 {highest:.3g} 之间。",
    "finding.ppo_loss_sign.meaning": "advantage 在组内已中心化：ratio 接近 1，或 advantage 大多为 0 时，该 loss "
    "按构造就是 0；"
    "剩下的只是噪声。为正不代表进步，为负也不代表出错。",
    "finding.ppo_loss_sign.advice": "应关注 Val Reward、带有信号的组所占比例以及梯度范数。",
    # 测试
    "finding.answers_all_wrong.title": "没有一个回答正确",
    "finding.answers_all_wrong.evidence": "对 {queries} 个测试 query 的 {total} 个回答，无论展示什么都没有得分；"
    "最常见的回答是“{text}”（{share:.0f} %）。",
    "finding.answers_all_wrong.meaning": "这与示例的选择无关：提问方式不为 VLM 所理解，回答的格式与数据不同，或者指标"
    "不对。",
    "finding.answers_all_wrong.advice": "查看提示与回答（shotsmith prompt RUN），并检查 vlm.prompt（模板）、"
    "回答格式（vlm.max_new_tokens、指令）与 data.metric。",
    "finding.answers_all_same.title": "所有回答都一样",
    "finding.answers_all_same.evidence": "对 {queries} 个测试 query 的 {total} 个回答全部是“{text}”。",
    "finding.answers_all_same.meaning": "VLM 对 query 与示例都没有反应，各方法之间不会有差别，rollout 组也不会有信号。",
    "finding.answers_all_same.advice": "查看提示（shotsmith prompt RUN）：图像与问题是否都在，模板是否与该 VLM 训练时"
    "一致，回答是否被截断（vlm.max_new_tokens）。",
    "finding.completions_all_same.title": "至今所有回答都一样",
    "finding.completions_all_same.evidence": "本次运行至今的 {total} 个回答全部是“{text}”。",
    "finding.completions_all_same.meaning": "VLM 对 query 与示例都没有反应；无论采样多少序列，rollout 组都不会有信号。",
    "finding.completions_all_same.advice": "停止训练，先查看提示（shotsmith prompt RUN）：图像与问题是否都在，"
    "模板是否与该 VLM 训练时一致，回答是否被截断（vlm.max_new_tokens）。",
    "finding.training_lost.title": "训练没有收益",
    "finding.training_lost.evidence": "{a} 在测试集上与无需训练的{b}相差 {difference:+.1f} 个百分点（{low:+.1f} 至 "
    "{high:+.1f}，各 shot 数平均）。",
    "finding.training_lost.meaning": "训练后的策略不如最好的免训练方法：无论曲线如何，"
    "它没有学到对新 query 有用的东西。",
    "finding.training_lost.advice": "直接使用{b}。再次训练之前，先运行 shotsmith headroom 查看"
    "是否还有提升空间，并从 epoch 0 起查看 Val Reward。",
    "finding.training_undecided.title": "训练的结果与免训练方法没有明显差别",
    "finding.training_undecided.evidence": "{a} 在测试集上与无需训练的{b}相差 {difference:+.1f} 个百分点"
    "（{low:+.1f} 至 {high:+.1f}，各 shot 数平均）。",
    "finding.training_undecided.meaning": "差别可能出于偶然，目前没有证据表明训练有收益。",
    "finding.training_undecided.advice": "直接使用{b}；或者用更多测试 query 与多个种子再测。",
    "finding.zero_shot_best.title": "不展示示例反而最好",
    "finding.zero_shot_best.evidence": "Zero-shot 为 {accuracy:.1f}，展示示例的最好方法（{selector}）为 {other:.1f}"
    "（各 shot 数平均）。",
    "finding.zero_shot_best.meaning": "在这份数据上，示例对该 VLM 没有帮助：它已经知道答案，不会利用多张图像，或者看不"
    "懂所用的模板。",
    "finding.zero_shot_best.advice": "直接使用 zero-shot；或先查看带示例的提示（shotsmith prompt RUN）并检查 "
    "vlm.prompt，再训练。",
    "finding.training_cannot_pay.title": "几乎没有提升空间",
    "finding.training_cannot_pay.evidence": "Oracle 为 {oracle:.1f}，无需训练的{free}为 {accuracy:.1f}"
    "（各 shot 数平均），相差 {gap:.1f} 个百分点。",
    "finding.training_cannot_pay.meaning": "即使知道答案，也不会比最好的免训练方法好多少，训练不会有收益。",
    "finding.training_cannot_pay.advice": "直接使用{free}。换用其他数据时，训练之前先运行 shotsmith headroom。",
    "finding.repeated_demonstrations.title": "示例重复出现",
    "finding.repeated_demonstrations.evidence": "{selector} 在 {total} 个 prompt 中有 {count} 个"
    "（{share:.1f} %）重复展示了同一示例。",
    "finding.repeated_demonstrations.meaning": "重复的示例不带来新信息：这些 prompt 的实际 shot 数少于名义值。",
    "finding.repeated_demonstrations.advice": "检查候选池（候选是否够多），以及已选示例是否被正确屏蔽。",
    "finding.position_bias.title": "策略偏好候选池中的特定位置",
    "finding.position_bias.evidence": "{selector} 选出的 {choices} 个示例中，{share:.1f} % 来自候选池的第 {place} 位，"
    "均匀分布时应为 {expected:.1f} %（卡方 {chi2:.0f}，自由度 {degrees}，p = {p:.1g}）。",
    "finding.position_bias.meaning": "候选池的顺序是随机的，位置本身没有含义。策略学到的是位置"
    "（或者监督标签本身就是位置），而不是该位置上的示例。",
    "finding.position_bias.advice": "检查监督标签指向什么，以及不同 query 的候选池是否不同。",
    "finding.more_shots_hurt.title": "示例越多反而越差",
    "finding.more_shots_hurt.evidence": "{selector}：从 {fewer}-shot 增加到 {more}-shot，准确率变化 {difference:+.1f} "
    "个百分点（95 % 区间 {low:+.1f} 至 {high:+.1f}，Holm 校正后 p = {p:.2g}，{queries} 个 query）。",
    "finding.more_shots_hurt.meaning": "策略追加的示例起了误导作用。可能从未在这样长的序列上训练过，"
    "也可能候选池里已没有更好的示例。",
    "finding.more_shots_hurt.advice": "在测试所用的每种长度上训练，或让策略自行决定何时停止。",
    "finding.failed_answers.title": "部分测试回答缺失",
    "finding.failed_answers.evidence": "{total} 次请求中有 {failures} 次（{share:.1f} %）未能得到回答；"
    "最常见的原因：{reason}",
    "finding.failed_answers.meaning": "相关 query 既不计对也不计错；准确率只反映其余的 query。",
    "finding.failed_answers.advice": "排除原因后重新测试：只会补问缺失的部分。",
    "finding.failed_rollouts.title": "训练过程中有请求失败",
    "finding.failed_rollouts.evidence": "{rollouts} 条 rollout 与 {validation} 个验证回答未能得到。",
    "finding.failed_rollouts.meaning": "它们已从所在的组与验证指标中剔除，没有折算成 reward。"
    "若失败集中于某一类，剩余样本会有偏差。",
    "finding.failed_rollouts.advice": "检查 VLM 的报错后重新运行：已存储的回答不会重复请求。",
    "finding.test_evaluated_again.title": "测试集被使用了不止一次",
    "finding.test_evaluated_again.evidence": "先后有 {times} 组不同的 checkpoint 在测试集上评估过。",
    "finding.test_evaluated_again.meaning": "如果其间据此作过任何选择，这些数字就会略微偏高。",
    "finding.test_evaluated_again.advice": "用验证集作选择，测试集只报告一次。",
}
