/** How messages between processes are described. */
import { Schema } from "effect"

/** One variant of a union that is told from the others by its `_tag`. */
export const tagged = <const Tag extends string, const Fields extends Schema.Struct.Fields>(
  tag: Tag,
  fields: Fields
) => Schema.Struct({ _tag: Schema.Literal(tag), ...fields })
