export { URL } from "./url/url.js";
export { URLSearchParams } from "./url/params.js";
