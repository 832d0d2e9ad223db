"""中文报告。方法、指标与训练术语保留中文研究者惯用的英文写法。"""

from __future__ import annotations

from shotsmith.reports.language.findings_zh import TEXT as FINDINGS
from shotsmith.reports.language.names_zh import TEXT as NAMES

TEXT: dict[str, str] = {
    **FINDINGS,
    **NAMES,
    # 行文
    "sentence.gap": "",
    "list.comma": "、",
    "colon": "：",
    "interval": "{low:+.1f} 至 {high:+.1f}",
    # 结论
    "verdict.nothing": "尚未开始训练。",
    "verdict.trained": "策略已训练完成，尚未在测试集上评估。",
    "verdict.log": "这是一份训练日志，含 epoch {first} 至 {last} 之间的 {epochs} 个 epoch。其中没有测试集上的回答，"
    "因此无法就准确率下结论。",
    "verdict.no_contrast": "测试集已评估，但没有与免训练方法的对比。",
    "verdict.better": "建议使用训练所得的选择器：{policy} 在测试集上优于最好的免训练方法（{free}）。",
    "verdict.worse": "训练没有带来收益：{policy} 在测试集上不如最好的免训练方法（{free}）。",
    "verdict.open": "与免训练方法没有明显差别：凭测试集分不出 {policy} 与最好的免训练方法（{free}）。",
    "verdict.use": "建议使用{free}（{shots}-shot），无需训练：{best:.1f} %。",
    "verdict.use_zero_shot": "建议不展示任何示例（{free}）：{best:.1f} %。",
    "verdict.use_vote": "建议使用{free}（{shots} 个示例），无需调用 VLM：{best:.1f} %。",
    "verdict.same_answer": "测试集上的所有回答都是“{text}”，与展示什么无关，因此无法比较各种方法。"
    "请先查看提示（shotsmith prompt RUN）。",
    "verdict.nothing_right": "测试集上没有一个回答正确，与展示什么无关，因此无法比较各种方法。"
    "请先查看提示与回答（shotsmith prompt RUN），并检查回答格式与指标。",
    "verdict.no_headroom": "在这份数据上训练不会有收益：即使 Oracle 也只比{free}高 {difference:.1f} 个百分点"
    "（{low:+.1f} 至 {high:+.1f}）。",
    # 提升空间
    "headroom.worth": "值得训练：Oracle 比最好的免训练方法 {free}（各 shot 数平均 {accuracy:.1f} %）高 "
    "{difference:.1f} 个百分点 [{low:.1f}, {high:.1f}]；在 {free} 最好的 {shots}-shot（{best:.1f} %）时高 {there:.1f} "
    "个百分点。",
    "headroom.not_worth": "不值得训练：Oracle 只比最好的免训练方法高 {difference:.1f} 个百分点 [{low:.1f}, "
    "{high:.1f}]。建议使用 {free}：{shots}-shot 时为 {best:.1f} %。",
    "headroom.unclear": "尚不清楚：Oracle 比最好的免训练方法 {free}（各 shot 数平均 {accuracy:.1f} %）高 "
    "{difference:.1f} 个百分点 [{low:.1f}, {high:.1f}]，在 {free} 最好的 {shots}-shot 时高 {there:.1f} 个百分点。"
    "请增加 query：--queries {more}。",
    "headroom.nothing_right": "{queries} 个 query 的回答无论展示什么都没有一个正确：训练之前请先检查提示模板、"
    "回答格式与指标（shotsmith prompt RECIPE）。",
    "headroom.same_answer": "{queries} 个 query 的所有回答都是“{text}”，与展示什么无关，各方法之间不会有差别："
    "训练之前请先检查提示模板以及 VLM 看到的内容（shotsmith prompt RECIPE）。",
    # 关键数字
    "tile.accuracy": "{policy}，各 shot 数平均",
    "tile.gain": "个百分点，相对{free}",
    "tile.free": "{free}，各 shot 数平均",
    "tile.interval": "{low:.1f} 至 {high:.1f}",
    "tile.interval_signed": "{low:+.1f} 至 {high:+.1f}",
    "tile.interval_open": "{low:+.1f} 至 {high:+.1f}：没有明显差别",
    "tile.value": "{accuracy:.1f} %",
    # 训练完成情况
    "ran.finished": "计划的 epoch 已全部完成。",
    "ran.unfinished": "计划的 epoch 尚未全部完成。",
    "ran.caption": "已完成 / 计划的 epoch 数：",
    "left_out.imported": "{column}：取自导入的文件。",
    "left_out.no_vlm": "{column}：从略，rollout 为导入数据，没有 VLM。",
    "left_out.no_beams": "{column}：从略，未导入束搜索数据。",
    "left_out.no_rollouts": "{column}：从略，未导入可供学习的 RL 数据。",
    "left_out.on_policy": "{column}：从略，grpo.sampling.source 需要 VLM 回答新序列，而没有 VLM；可设为 recorded。",
    "ran.log": "{file} 中有数值的 epoch 数如下；需要回答或开销的部分从略。",
    "configuration.intro": "以下为主要设置，其余见本报告同目录下的 recipe.yaml。",
    "configuration.column.setting": "设置",
    "configuration.column.value": "取值",
    # 最优 epoch
    "checkpoints.none": "尚未训练任何 epoch。",
    "checkpoints.intro": "Epoch 按策略自己选出的序列在验证集上获得的 reward 来选择。Val Loss 是以 reward 加权的交叉熵，"
    "一并列出，但未必能按准确率给 epoch 排序。",
    "checkpoints.none_by": "没有任何 epoch 带有这一指标。",
    "checkpoints.log": "日志中的各 epoch，最优者在前。",
    "checkpoints.path": "Checkpoint 文件：{path}",
    "best.column.metric": "指标",
    "best.column.value": "数值",
    "best.column.meaning": "含义",
    "meaning.train_loss": "训练所最小化的目标，取该 epoch 各步的平均",
    "meaning.val_loss": "验证集上以 reward 加权的交叉熵",
    "meaning.ppo_loss": "裁剪后的策略 loss，按构造接近 0",
    "meaning.kl": "与参考策略的精确 KL 散度，每步 nats",
    "meaning.adv_std": "Advantage 的标准差",
    "meaning.adv_max": "Advantage 的最大值",
    "meaning.beta": "KL 项的系数",
    "meaning.reward": "训练采样序列的平均 reward",
    "meaning.frac_reward_zero_std": "组内 reward 全部相同的组所占比例",
    "meaning.entropy": "策略选择的熵，每步 nats",
    "meaning.val_reward": "验证集上的平均 reward",
    # 测试
    "test.none": "尚未在测试集上评估。",
    "test.intro": "{metric}，单位为 %，共 {n} 个测试 query；方括号内为 {confidence:.0f} % 配对 bootstrap 区间。所有方"
    "法都从相同的示例中选择，提示模板也相同；每个训练所得的策略取 Val Reward 最高的 epoch。Oracle 尝试大量序列并且看得"
    "到答案，任何方法都不应指望达到它。",
    "test.column.selector": "方法",
    "test.column.shots": "{shots}-shot",
    "test.column.shot": "1-shot",
    "test.column.mean": "平均",
    "test.chart": "各 shot 数下的准确率",
    "test.evaluated": "先后有 {times} 组不同的 checkpoint 在测试集上评估过。",
    "test.stops": "{policy} 可自行停止。平均展示的示例数：{numbers}。",
    "test.stops.part": "至多 {shots} 个时 {shown:.1f} 个",
    "test.recall": "在已知可达到的 {oracle:.1f} % 之中，{selector} 因检索丢掉 {retrieval:.1f} 个百分点（得分最高"
    "的 {size} 个示例里没有能答对的序列），因选择丢掉 {choice:.1f} 个百分点（有，但展示了别的序列）。",
    "test.recall_pools": "在已知可达到的 {oracle:.1f} % 之中，{selector} 因候选池丢掉 {retrieval:.1f} 个百分点（"
    "池里没有能答对的序列），因选择丢掉 {choice:.1f} 个百分点（有，但展示了别的序列）。整个示例库中，每个 query "
    "至多尝试 {size} 个示例。",
    "copying.answers": "{policy}的回答中有 {share:.0f}% 与某个示例的答案相同。",
    "copying.wrong": "其错误回答（占 {wrong:.0f}%）中有 {share:.0f}% 与某个示例的答案相同。",
    "copying.last.more": "回答与最后一个示例相同的情况多于其他位置：{last:.0f}% 对 {others:.0f}%，"
    "相差 {difference:+.1f} 个百分点 [{low:+.1f}, {high:+.1f}]。",
    "copying.last.less": "回答与最后一个示例相同的情况少于其他位置：{last:.0f}% 对 {others:.0f}%，"
    "相差 {difference:+.1f} 个百分点 [{low:+.1f}, {high:+.1f}]。",
    "copying.last.open": "回答与最后一个示例相同的情况与其他位置相近：{last:.0f}% 对 {others:.0f}%，"
    "相差 {difference:+.1f} 个百分点 [{low:+.1f}, {high:+.1f}]。",
    "test.same_figures": "{metric}：数值相同。",
    "recall.column.kind": "问题类型",
    "recall.column.accuracy": "准确率",
    "recall.column.choice": "因选择丢分",
    "recall.column.within": "候选中可达到",
    "recall.column.retrieval": "因检索丢分",
    "recall.column.oracle": "已知可达到",
    "recall.column.n": "Query 数",
    "contrasts.none": "没有可用的两两对比。",
    "contrasts.intro": "A 减 B，单位为百分点，二者在相同的 query 上比较；p 来自置换检验，并按对比个数作 Holm 校正。"
    "区间包含 0 或 p 较大时，凭这些 query 分不出二者的高下。最好的免训练方法是在验证集上选出的。",
    "contrasts.column.a": "A",
    "contrasts.column.b": "B",
    "contrasts.column.shots": "Shot 数",
    "contrasts.column.difference": "A − B",
    "contrasts.column.interval": "区间",
    "contrasts.column.p": "p",
    "contrasts.chart": "差异（百分点），各 shot 数平均",
    "contrasts.chart.pair": "{a} − {b}",
    "contrasts.chart.above": "高于 0",
    "contrasts.chart.below": "低于 0",
    "contrasts.chart.open": "包含 0",
    # 另一次训练
    "against.intro": "本次训练为 {this}，对照为 {other}（{folder}）。",
    "against.settings_intro": "未列出的设置两者相同。",
    "against.same_settings": "两次训练的设置完全相同。",
    "against.no_settings": "未见已知的设置差异；训练日志并未列出全部设置。",
    "against.log_settings": "训练日志并未列出全部设置；两者都已知且不同的有：",
    "configuration.log": "以下为日志写明的设置，以及生成它的代码固定采用的做法。",
    "against.no_test": "两者没有在相同测试 query、相同 shot 数下的回答，无法比较准确率。",
    "against.test_intro": "准确率单位为 %；差异为 {this} 减 {other}，单位为百分点，按 query 配对（至多 {n} 个 query）；"
    "p 来自置换检验并作 Holm 校正。最后一列是以这么多 query、在 5 % 显著性水平下有 80 % 把握检测到的最小真实差异。",
    "against.column.selector": "方法",
    "against.column.shots": "Shot 数",
    "against.column.difference": "差异",
    "against.column.interval": "区间",
    "against.column.p": "p",
    "against.column.detectable": "可检测差异",
    "against.column.change": "变化",
    "against.better": "{selector}：{this} 比 {other} 高 {difference:.1f} 个百分点（{low:+.1f} 至 {high:+.1f}，p "
    "{p}）。",
    "against.worse": "{selector}：{this} 与 {other} 相差 {difference:+.1f} 个百分点（{low:+.1f} 至 {high:+.1f}，p "
    "{p}）。",
    "against.open": "{selector}：{this} 与 {other} 分不出高下，相差 {difference:+.1f} 个百分点（{low:+.1f} 至 "
    "{high:+.1f}，"
    "p {p}）；低于 {detectable:.1f} 个百分点的差异大多看不出来。",
    "against.best_intro": "两者各取 {criterion} 最优的 epoch；变化为本次训练减对照。"
    "这些都是单个 epoch 的数值，差异是否超出偶然，仅凭它们无法判断。",
    "against.trend": "{first} → {last}（最低 {lowest}，最高 {highest}）",
    "against.difference_chart": "{this} 减 {other}（百分点），各 shot 数平均",
    "against.chart": "{column}：两次训练",
    # 趋势
    "trends.none": "尚无 epoch 可供分析。",
    "trends.intro": "{phase} 阶段，种子 {seeds} 的平均。",
    "trends.intro_one": "{phase} 阶段，种子 {seeds}。",
    "trends.preview": "{column}：起初 {first:.4g}，最后 {last:.4g}。",
    "trend.one": "{column}：仅有一个 epoch，为 {first:.4g}。",
    "trend.rose": "{column} 从 {first:.4g} 升至 {last:.4g}。",
    "trend.fell": "{column} 从 {first:.4g} 降至 {last:.4g}。",
    "trend.level": "{column} 基本持平：起初 {first:.4g}，最后 {last:.4g}。",
    "trend.range": "最低在 epoch {lowest_epoch}（{lowest:.4g}），最高在 epoch {highest_epoch}（{highest:.4g}）。",
    "trend.note.ppo_loss": "接近 0 属于正常：advantage 在组内已中心化，ratio 又从 1 开始。其正负不说明任何问题。",
    "trend.note.val_loss": "它反映的是已录制的 reward，而非准确率。",
    "trend.note.adv_std": "若接近 0，则说明各组没有信号。",
    "trend.note.entropy": "即策略仍在探索的程度。",
    "trend.note.frac_reward_zero_std": "组内 reward 全部相同的组学不到任何东西。",
    "chart.seed": "种子 {seed}",
    "chart.point": "{series}，epoch {x}：{y}",
    "chart.best": "最优",
    "chart.hint": "将指针移到图上，或选中图后按方向键，即可读取数值。",
    # 诊断
    "diagnosis.clean": "诊断未发现问题。",
    "diagnosis.tally": "诊断结果：故障 {fault} 项，警告 {warning} 项，提示 {note} 项。",
    "diagnosis.meaning": "含义",
    "diagnosis.advice": "建议",
    # 优势与劣势
    "judgement.none": "尚无可评价的内容。",
    "strengths.none": "从数据中看不出。",
    "weaknesses.none": "从数据中看不出。",
    "contrast.better": "{a} 在各 shot 数上平均比{b}高 {difference:.1f} 个百分点（{low:+.1f} 至 {high:+.1f}，p {p}）。",
    "contrast.worse": "{a} 在各 shot 数上平均与{b}相差 {difference:+.1f} 个百分点（{low:+.1f} 至 {high:+.1f}，p "
    "{p}）。",
    "contrast.open": "{a} 与{b}在各 shot 数的平均上分不出高下：相差 {difference:+.1f} 个百分点（{low:+.1f} 至 "
    "{high:+.1f}，"
    "p {p}）。",
    "contrast.below_at_shots": "{shots}-shot 时，{a} 低于{b}：相差 {difference:+.1f} 个百分点（{low:+.1f} 至 "
    "{high:+.1f}，"
    "p {p}）。",
    "order.better": "策略选定的顺序有意义：同样的示例倒过来排列会低 {difference:.1f} 个百分点（{low:+.1f} 至 "
    "{high:+.1f}，"
    "p {p}）。",
    "order.worse": "同样的示例倒过来排列反而更好，高 {reverse:.1f} 个百分点（所选顺序减逆序：{low:+.1f} 至 "
    "{high:+.1f}，"
    "p {p}）。",
    "order.open": "策略选定的顺序是否有意义尚无定论：所选顺序减逆序为 {difference:+.1f} 个百分点（{low:+.1f} 至 "
    "{high:+.1f}，p {p}）。",
    "headroom.large": "从最好的免训练方法到 Oracle 共有 {headroom:.1f} 个百分点的空间，{policy} 已实现其中的 "
    "{share:.0f} %。",
    "headroom.small": "从最好的免训练方法到 Oracle 共有 {headroom:.1f} 个百分点的空间，{policy} 只实现了其中的 "
    "{share:.0f} %，尚余 {left:.1f} 个百分点。",
    "headroom.none": "从最好的免训练方法到 Oracle 共有 {headroom:.1f} 个百分点的空间，训练没有从中得到任何收益"
    "（{gain:+.1f}），离 Oracle 还差 {left:.1f} 个百分点。",
    "headroom.open": "从最好的免训练方法到 Oracle 共有 {headroom:.1f} 个百分点的空间；"
    "训练从中得到的（{gain:+.1f}）在测试集上与零没有明显差别。",
    "signal.clear": "各组信号清晰：Adv Std 平均为 {adv_std:.2f}。",
    "kl.near": "策略没有远离参考策略：KL 最大为 {kl:.3f}（epoch {epoch}）。",
    "val_reward.rose": "Val Reward 从 {first:.4g} 升至 {last:.4g}，最高值 {best:.4g} 出现在 epoch {epoch}。",
    "criteria.earlier_phase": "{last_phase} 的任何 epoch 都没有达到 {phase} 最优 epoch 的 Val Reward（{value:.4g}）。",
    # 后续建议
    "next.train": "先完成训练，已完成的部分会自动跳过。",
    "next.prompt": "查看向 VLM 提出的问题：它的回答与展示什么无关，或者没有一个正确。",
    "next.evaluate": "在测试集上评估。",
    "next.longer": "Val Reward 在最后一个 epoch（{epoch}）仍为最高：延长训练。",
    "next.seeds": "用三个种子训练，以了解结果中有多少出于偶然。",
    "next.diagnose": "以 JSON 形式读取这份日志的诊断结果。",
    "next.show": "以 JSON 形式读取本次训练的全部数值。",
    "next.tensorboard": "逐步查看训练曲线。",
    "next.recipe": "RECIPE.yaml 指您自己的配置文件。",
    "next.use": "通过 HTTP 使用训练所得的选择器；在 Python 中用 shotsmith.load 读取同一文件夹。",
    # 总结
    "summary.epochs": "计划 {planned} 个 epoch，已完成 {done} 个（种子数：{seeds}）。",
    "summary.best": "按 {criterion}，最优 epoch 为 {phase} 的 epoch {epoch}（种子 {seed}）：{value:.4g}。",
    "summary.cost": "共耗时 {duration}，调用 VLM {calls:,} 次，另有 {hits:,} 次直接取自存储。",
    "summary.failures": "有 {failures:,} 次请求未能得到回答；凡涉及的 query 均不计入。",
    "summary.shortened": "在为测试 query 选出的 {demonstrations:,} 个示例中，因提示预算而略去 {left_out:,} 个，"
    "另有 {without_image:,} 个不带图像展示。",
    # 样例
    "gallery.none": "尚无回答可展示。",
    "gallery.intro": "{shots}-shot 下的 {total} 个测试 query：{before}与 {after} 各自按顺序向 VLM 展示了什么，VLM "
    "又回答了什么。从{before}到 {after}，有 {fixed} 个改对（准确率上升），{broken} 个改错（准确率下降），"
    "{unchanged} 个未变；从中选出 {count} 个，三类兼顾。",
    "gallery.filter": "筛选",
    "gallery.all": "全部",
    "gallery.visible": "显示 {count} 个",
    "gallery.query": "问题",
    "gallery.truth": "人工答案",
    "gallery.zero_shot": "Zero-shot",
    "gallery.answer": "VLM：{text}",
    "gallery.empty_answer": "（空）",
    "gallery.score": "{accuracy:.0f} %",
    "gallery.accuracy": "准确率 {accuracy:.0f} %",
    "gallery.no_demonstrations": "没有示例",
    "gallery.image_of": "配图，问题：{question}",
    "gallery.column.query": "问题",
    "gallery.column.truth": "人工答案",
    "gallery.column.before": "{selector}：回答（准确率）",
    "gallery.column.shown": "{selector} 展示的示例（按顺序）",
    "gallery.column.change": "变化",
    "gallery.more": "另有 {count} 个",
    # 指向
    "pointing.none": "评估之后才能得知。",
    "pointing.intro": "每个 query 可用的示例按与它的相似度排名；柱高为所选示例落在各名次区间的比例。"
    "虚线是完全不看相似度的策略应有的水平。",
    "pointing.chart": "所选示例的{measure}名次",
    "pointing.sentence": "按{measure}：{top:.0f} % 的所选示例位于 {size:,} 个候选中最相似的 {band:,} 个之内（随机"
    "水平 {chance:.0f} %）。",
    "pointing.bar": "第 {low} 至 {high} 名：{count} 个（{share:.1f} %）",
    "pointing.chance": "随机水平",
    "pointing.charts": "名次图",
    # 开销
    "cost.none": "尚无已完成的环节。",
    "cost.intro": "每个回答只付费一次，之后再用到时直接取自存储。",
    "cost.column.stage": "环节",
    "cost.column.time": "耗时",
    "cost.column.calls": "VLM 调用",
    "cost.column.hits": "取自存储",
    "cost.total": "合计",
    "environment.line": "Python {python}，{platform}，{cpus} 个 CPU。",
    "environment.commit": "Commit {commit}。",
    "alternative.other": "不训练时最好的选择是{free}（{shots}-shot）：{best:.1f} %，此时 {policy} 为 {there:.1f} %。",
    "alternative.zero_shot": "不训练时最好的选择是不展示任何示例（{free}）：{best:.1f} %。",
    "alternative.vote": "不训练时最好的选择是{free}（{shots} 个示例），无需调用 VLM：{best:.1f} %，此时 {policy} "
    "为 {there:.1f} %。",
    "line.better": "{policy} {accuracy:.1f} %，比最好的免训练方法（{free}，{of_free:.1f} %）高 {difference:.1f} "
    "个百分点 [{low:.1f}, {high:.1f}]，为各 shot 数的平均。",
    "line.worse": "{policy} {accuracy:.1f} %，不如最好的免训练方法（{free}，{of_free:.1f} %）：{difference:+.1f} "
    "个百分点 [{low:+.1f}, {high:+.1f}]，为各 shot 数的平均。训练没有带来收益。",
    "line.open": "{policy} {accuracy:.1f} %，未胜过最好的免训练方法（{free}，{of_free:.1f} %）：{difference:+.1f} "
    "个百分点 [{low:+.1f}, {high:+.1f}]，为各 shot 数的平均。没有明显差别。",
    "kinds.intro": "按数据给出的问题类型列出{free}与 {policy} 的准确率（%，各 shot 数平均），提升最大者在前。方括"
    "号内为差异的区间，query 少时较宽。",
    "kinds.queries": "{n} 个 query",
    "kinds.column.kind": "问题类型",
    "kinds.column.n": "Query 数",
    "kinds.column.difference": "差异",
    "kinds.column.oracle": "Oracle",
    "kinds.none": "回答没有按问题类型区分。",
    "kinds.legend": "空心：{free}；实心：{policy}。",
    "shown_most.intro": "{shots}-shot 下，{policy} 向 {queries:,} 个测试 query 展示了示例库 {bank:,} 个示例中的 "
    "{distinct:,} 个。展示最多的是：",
    "shown_most.count": "{count:,} 个 query（{share:.1f} %）",
    "shown_most.column": "示例",
    "shown_most.column.count": "展示给",
    "page.copy": "复制",
    "page.copied": "已复制",
    "page.sideways": "左右滑动可查看其余各列。",
    "page.unfold": "展开",
}
