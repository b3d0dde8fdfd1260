export const FetchGlobals = {};
