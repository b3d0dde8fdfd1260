// The page "runtime".

import { Page } from "../parts/page";
import type { PageProps } from "../shell/pages";

export default function RuntimePage(_: PageProps<"runtime">) {
  return <Page title="Runtime">{null}</Page>;
}
