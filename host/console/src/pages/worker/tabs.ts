// The tabs beside the transcript, in one file that is loaded when one of them is first shown.

export { DiagnosticsTab } from "./diagnostics";
export { FilesTab } from "./files";
export { InputsTab } from "./inputs";
export { SettingsTab } from "./settings";
export { StateTab } from "./state";
