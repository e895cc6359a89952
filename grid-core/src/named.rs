//! Parameters that are either known by a name or spelled out.

use core::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, DeserializeOwned, MapAccess, Visitor, value::MapAccessDeserializer},
};

/// A well-known set of parameters, or one of its own. In JSON: a name, or all parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Named<T> {
    /// The name of a built-in set.
    BuiltIn(String),
    /// All parameters of another one.
    Custom(Box<T>),
}

/// What can be [`Named`].
pub trait Parameters: DeserializeOwned {
    /// What is expected in JSON, for errors.
    const EXPECTED: &'static str;
}

/// By hand, so that an error names the field at fault.
impl<'de, T: Parameters> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);
        impl<'de, T: Parameters> Visitor<'de> for Either<T> {
            type Value = Named<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(T::EXPECTED)
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Named<T>, E> {
                Ok(Named::BuiltIn(name.into()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Named<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
                    .map(|parameters| Named::Custom(Box::new(parameters)))
            }
        }
        deserializer.deserialize_any(Either(PhantomData))
    }
}
