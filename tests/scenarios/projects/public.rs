//! The public namespace, as the page "Images & Tags" tells of it.

use contree_api::admin::Publish;
use contree_api::image::ImageRef;
use contree_api::{ImageId, Tag};
use contree_client::ImageFilter;
use contree_e2e::rootfs::Tiny;
use contree_e2e::{import, run, succeeded};

use super::{Holder, Office, shell};

fn tag(text: &str) -> Tag {
    text.parse().expect("a tag")
}

async fn publish(office: &Office, image: ImageId, project: &str, name: &str) -> ImageId {
    let request = Publish {
        image: ImageRef::Id(image),
        tag: tag(name),
        project: Some(project.to_owned()),
    };
    let public = office
        .admin
        .publish(&request)
        .await
        .expect("it is published");
    assert_eq!(public.tag, Some(tag(name)));
    assert_eq!((public.operation_uuid, public.parent_uuid), (None, None));
    public.uuid
}

async fn listed(holder: &Holder) -> Vec<(ImageId, Option<String>)> {
    let filter = ImageFilter::default();
    let images = holder.client.list_images(&filter).await.expect("a list");
    images
        .into_iter()
        .map(|image| (image.uuid, image.tag.map(String::from)))
        .collect()
}

async fn writes(holder: &Holder, image: ImageId, text: &str) -> ImageId {
    let script = format!("echo {text} > /mark");
    let (image, _) = succeeded(&run(&holder.client, &shell(image, &script)).await);
    image.expect("a run that wrote has an image")
}

async fn reads(holder: &Holder, image: ImageId) -> String {
    let mut request = shell(image, "cat /mark");
    request.disposable = true;
    succeeded(&run(&holder.client, &request).await).1
}

#[tokio::test]
async fn privileged_public_images_are_everybodys() {
    let office = Office::open(&[]);
    for name in ["source", "reader"] {
        office.project(name).await;
    }
    let (source, reader) = (office.member("source").await, office.member("reader").await);
    let base = import(&source.client, &Tiny::new().tar(), "base").await;
    let one = writes(&source, base, "one").await;
    let two = writes(&source, base, "two").await;
    let name = || tag("ubuntu:latest");

    // Published: an image of its own, seen and used by everyone. Publishing again changes nothing.
    let public = publish(&office, one, "source", "ubuntu:latest").await;
    assert_ne!(public, one);
    assert_eq!(
        publish(&office, one, "source", "ubuntu:latest").await,
        public
    );
    assert_eq!(
        listed(&reader).await,
        [(public, Some("ubuntu:latest".into()))]
    );
    assert_eq!(reader.client.find_image(&name()).await.unwrap(), public);
    assert_eq!(reads(&reader, public).await, "one\n");
    let shown = reader.client.image(public).await.unwrap();
    assert_eq!((shown.operation_uuid, shown.parent_uuid), (None, None));
    let result = writes(&reader, public, "mine").await;

    // An own tag of the same name shadows the public one, whose image is still there by UUID.
    reader.client.set_tag(result, &name()).await.unwrap();
    assert_eq!(reader.client.find_image(&name()).await.unwrap(), result);
    assert_eq!(source.client.find_image(&name()).await.unwrap(), public);
    assert_eq!(reads(&reader, public).await, "one\n");
    assert_eq!(
        listed(&reader).await,
        [(result, Some("ubuntu:latest".into())), (public, None)]
    );
    // Nobody's own tag is the public one.
    let refused = reader.client.delete_tag(public, Some(&name())).await;
    assert_eq!(refused.unwrap_err().status(), Some(404));
    // Removing it restores the public one.
    reader
        .client
        .delete_tag(result, Some(&name()))
        .await
        .unwrap();
    assert_eq!(reader.client.find_image(&name()).await.unwrap(), public);

    // A project's own tag on a public image holds on to that image.
    reader.client.set_tag(public, &tag("pinned")).await.unwrap();
    let newer = publish(&office, two, "source", "ubuntu:latest").await;
    assert_eq!(reader.client.find_image(&name()).await.unwrap(), newer);
    assert_eq!(
        reader.client.find_image(&tag("pinned")).await.unwrap(),
        public
    );

    // The project that it came from goes; the public image stays.
    office.admin.delete_project("source", true).await.unwrap();
    assert_eq!(reads(&reader, newer).await, "two\n");
    assert_eq!(reads(&reader, result).await, "mine\n");

    // Taken back: gone, unless some tag names it still.
    office.admin.unpublish(&name()).await.unwrap();
    assert_eq!(
        office.admin.unpublish(&name()).await.unwrap_err().status(),
        Some(404)
    );
    let gone = reader.client.image(newer).await.unwrap_err();
    assert_eq!(gone.status(), Some(404));
    let refused = reader.client.spawn(&shell(newer, "true")).await;
    assert_eq!(refused.unwrap_err().status(), Some(404));
    assert_eq!(reads(&reader, public).await, "one\n");

    for (image, project, status) in [
        (result, Some("nowhere"), 404),
        (result, Some("public"), 403),
        // The image is the reader's, not the default project's.
        (result, None, 404),
        (newer, Some("reader"), 404),
    ] {
        let request = Publish {
            image: ImageRef::Id(image),
            tag: tag("x"),
            project: project.map(str::to_owned),
        };
        let refused = office.admin.publish(&request).await.unwrap_err();
        assert_eq!(refused.status(), Some(status), "{refused}");
    }
}
