export class URL {}; export class URLSearchParams {}
