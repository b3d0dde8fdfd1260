// The page "components".

import { Page } from "../parts/page";
import type { PageProps } from "../shell/pages";

export default function ComponentsPage(_: PageProps<"components">) {
  return <Page title="Components">{null}</Page>;
}
