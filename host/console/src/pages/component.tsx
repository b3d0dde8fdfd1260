// The page "component".

import { Page } from "../parts/page";
import type { PageProps } from "../shell/pages";

export default function ComponentPage(_: PageProps<"component">) {
  return <Page title="Component">{null}</Page>;
}
