// 中文。各面板的键以其名称开头。
"use strict";

shotsmith.texts("zh", {
  "shell.run": "运行",
  "shell.panels": "面板",
  "shell.dark": "深色",
  "shell.light": "浅色",
  "shell.help": "快捷键",
  "shell.close": "关闭",
  "shell.cancel": "取消",
  "shell.all": "显示全部（{count} 个字符）",
  "shell.less": "收起",
  "shell.away": "服务器没有响应，正在重试……",
  "shell.not_kept": "保存的页面不含此内容。",
  "shell.key.panels": "打开面板",
  "shell.key.search": "搜索",
  "shell.key.rows": "下一行、上一行",
  "shell.key.open": "打开该行",
  "shell.key.back": "返回",
  "shell.key.help": "本列表",
  "live.title": "进度",
});
